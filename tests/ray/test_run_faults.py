"""Concurrent training commands, and runs with damaged files."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ray_jobs.training.checkpoints import SNAPSHOT
from ray_jobs.training.launcher import run
from tests.ray.test_train import (
    HERE,
    ROOT,
    command,
    configuration,
    final,
    last_checkpoint,
    progress,
    same_bits,
    surroundings,
)
from tests.support.ray_head import Cluster
from tweetelm.training.prepare import prepare

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


def test_only_one_of_two_concurrent_commands_trains(cluster: Cluster, folder: Path) -> None:
    config = configuration(folder, "twice")
    environment = surroundings(cluster, {})
    started = [
        subprocess.Popen(
            command(config),
            env=environment,
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[0] for process in started]
    by_status = {process.returncode: text for process, text in zip(started, said, strict=True)}
    assert sorted(by_status) == [0, 2], said
    assert "published " in by_status[0]
    assert "is in use by" in by_status[2]
    assert "Traceback" not in by_status[2]
    assert not (Path(config.folder) / ".run").exists(), "the lock is free again"


def test_damaged_files_do_not_change_the_result(
    cluster: Cluster, driver: Cluster, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(folder, "twice")
    expected, steps = final(config), progress(config)
    last = Path(last_checkpoint(config).path).name
    shutil.copytree(config.folder, tmp_path / "runs" / "twice")
    damaged = configuration(tmp_path, "twice")
    where = Path(damaged.folder)
    (where / SNAPSHOT).write_bytes((where / SNAPSHOT).read_bytes()[:100])
    (where / last / "model.safetensors").unlink()
    capsys.readouterr()
    outcome = run(damaged, HERE, prepare(damaged))
    told = capsys.readouterr().out
    assert f"checkpoint {where}/{last} is damaged (it lacks model.safetensors): skipped" in told
    assert "resuming from" in told
    assert same_bits(final(damaged), expected)
    assert progress(damaged) == steps
    assert Path(outcome.checkpoint).is_dir()


def test_finished_run_shows_its_published_version(cluster: Cluster, folder: Path) -> None:
    config = configuration(folder, "twice")
    line = [*command(config), "--run.registry", str(folder / "an other")]
    began = time.monotonic()
    done = subprocess.run(
        line,
        env=surroundings(cluster, {}),
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 30
    finished = json.loads((Path(config.folder) / "finished.json").read_text())
    assert f"published    models/hate/versions/{finished['version']} (now served)" in done.stdout
    assert "not in an other: this run was already published" in done.stdout
    assert not (folder / "an other").exists()
