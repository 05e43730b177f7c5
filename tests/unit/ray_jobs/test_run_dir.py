"""Fast answers about a run's name and flags, before slow imports."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ray_jobs.run_dir import FINISHED_FILE, Finished, check_name, claim, read_finished
from tests.support.places import ROOT
from tweetelm.config.train_config import OptimConfig, RunConfig, TrainConfig
from tweetelm.files import object_storage

HEAVY = {"ray", "torch", "transformers"}


def named(folder: Path) -> TrainConfig:
    return TrainConfig(task="hate", name="mine", run=RunConfig(storage=str(folder / "runs")))


def finish(config: TrainConfig) -> Finished:
    scores = {"test": {"macro_f1": 0.5, "accuracy": 0.5, "auroc": 0.5}}
    done = Finished(run="mine", scores=scores, notices=[])
    claim(config)
    object_storage.write(f"{config.folder}/{FINISHED_FILE}", json.dumps(dataclasses.asdict(done)).encode())
    return done


def train(*flags: str) -> subprocess.CompletedProcess[str]:
    """The command; and on standard error, as it leaves, what it has imported of what takes seconds."""
    tell = f"print('imported', {HEAVY} & set(sys.modules), file=sys.stderr)"
    code = "import atexit, sys; from ray_jobs.train import main; "
    code += f"atexit.register(lambda: {tell}); sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, "--task", "hate", *flags],
        capture_output=True, text=True, timeout=60, cwd=ROOT,
    )  # fmt: skip


def test_run_name_belongs_to_one_configuration(tmp_path: Path) -> None:
    config = named(tmp_path)
    assert not check_name(config)
    assert not object_storage.listed(config.folder), "looking takes nothing"
    claim(config)
    assert check_name(config)
    with pytest.raises(
        ValueError, match=r"exists with another configuration:\n +optim\.lr: None -> 0\.5\nChoose"
    ):
        check_name(dataclasses.replace(config, optim=OptimConfig(lr=0.5)))
    with pytest.raises(ValueError, match="trials"):
        check_name(config, trials=3)


def test_finished_run_is_reported_at_once(tmp_path: Path) -> None:
    config = named(tmp_path)
    assert read_finished(config) is None
    done = finish(config)
    assert read_finished(config) == done
    said = train("--name", "mine", "--run.storage", config.run.storage)
    assert (said.returncode, said.stderr) == (0, "imported set()\n")
    assert "mine is already finished: nothing to train" in said.stdout


def test_taken_name_is_rejected_at_once(tmp_path: Path) -> None:
    config = named(tmp_path)
    claim(config)
    said = train("--name", "mine", "--run.storage", config.run.storage, "--optim.lr", "0.5")
    assert said.returncode == 2, said.stderr
    assert "optim.lr: None -> 0.5" in said.stderr
    assert said.stderr.endswith("imported set()\n")


def test_misspelled_flag_is_rejected_at_once(tmp_path: Path) -> None:
    said = train("--optim.lrr", "1")
    assert said.returncode == 2
    assert "--optim.lrr" in said.stderr + said.stdout
    assert "Traceback" not in said.stderr
    assert said.stderr.endswith("imported set()\n")
