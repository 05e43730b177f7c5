"""Training under Ray Train: equal results for any number of workers, and bit-identical resumption after
kills."""

import dataclasses
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import ray.train
import torch
from safetensors.torch import load_file

from ray_jobs.cluster.connect import Resources
from ray_jobs.fault_tolerance.placement_groups import release_leaked
from ray_jobs.run_dir import claim
from ray_jobs.training.launcher import Outcome, run
from ray_jobs.training.preflight import check_space
from ray_jobs.training.resources import reserve
from tests.support.places import ROOT
from tests.support.ray_head import Cluster, train_workers, wait_for
from tweetelm.cli import allocator
from tweetelm.config.train_config import (
    DataConfig,
    LoopConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    TrackingConfig,
    TrainConfig,
)
from tweetelm.data import SAMPLE
from tweetelm.data.load import folder as data_folder
from tweetelm.files import object_storage
from tweetelm.openelm.flops import Cost
from tweetelm.predictor import Predictor
from tweetelm.registry import resolve
from tweetelm.tasks import TASKS
from tweetelm.tracking.trackers import HISTORY
from tweetelm.training.prepare import prepare

pytestmark = [pytest.mark.ray, pytest.mark.slow]
HERE = Resources(cpus=2, gpus=0, local=True)
STEPS_TO_SEE = 3


def configuration(folder: Path, name: str, *, workers: int = 2, **loop: Any) -> TrainConfig:
    settings = {"epochs": 2, "batch_tokens": 640, "micro_tokens": 640, "precision": "float32"}
    return TrainConfig(
        task="hate",
        name=name,
        data=DataConfig(root="sample", limit=300),
        model=ModelConfig(name="scratch-1m", max_tokens=64),
        optim=OptimConfig(lr=1e-3),
        loop=LoopConfig(**{**settings, "checkpoint_every": 1, **loop}),
        run=RunConfig(workers=workers, storage=str(folder / "runs"), registry=str(folder / "models")),
        tracking=TrackingConfig(wandb="off"),
    )


def last_checkpoint(config: TrainConfig) -> ray.train.Checkpoint:
    checkpoint = ray.train.Result.from_path(config.folder).checkpoint
    assert checkpoint is not None
    return checkpoint


def final(config: TrainConfig) -> dict[str, torch.Tensor]:
    """Return the weights and optimizer state after the last step."""
    with last_checkpoint(config).as_directory() as folder:
        files = [Path(folder) / name for name in ("model.safetensors", "optimizer.safetensors")]
        return {**load_file(files[0]), **load_file(files[1])}


def progress(config: TrainConfig) -> dict[str, Any]:
    with last_checkpoint(config).as_directory() as folder:
        document = json.loads((Path(folder) / "state.json").read_text(encoding="utf-8"))
    return dict(document["progress"])


def saved(config: TrainConfig) -> int:
    """Return the step of the last checkpoint in storage, 0 if there is none."""
    found = (name for name in object_storage.listed(config.folder) if name.endswith("/state.json"))
    states = (object_storage.read(f"{config.folder}/{name}") for name in found)
    steps = [0]
    for state in states:
        with suppress(json.JSONDecodeError):  # Ray is writing the file
            steps.append(json.loads(state or b"")["progress"]["step"])
    return max(steps)


def seen(config: TrainConfig, step: int) -> bool:
    """Return whether storage has a checkpoint of this step or a later one."""
    return saved(config) >= step


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("train")


@pytest.fixture(scope="module")
def undisturbed(driver: Cluster, folder: Path) -> tuple[TrainConfig, Outcome]:
    config = configuration(folder, "undisturbed")
    return config, run(config, HERE, prepare(config))


def same_bits(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.fixture(scope="module")
def alone(driver: Cluster, folder: Path) -> tuple[TrainConfig, str]:
    """Train one worker with accumulation; returns also its error about a disk that was full at the start."""
    config = configuration(folder, "alone", workers=1, micro_tokens=128)
    config = dataclasses.replace(config, run=dataclasses.replace(config.run, retries=0))
    full = Path(config.folder) / "history.jsonl"
    full.parent.mkdir(parents=True)
    full.symlink_to("/dev/full")
    with pytest.raises(OSError) as caught:
        run(config, HERE, prepare(config))
    full.unlink()
    run(config, HERE, prepare(config))
    return config, str(caught.value)


def test_full_disk_error_says_what_to_do(alone: tuple[TrainConfig, str]) -> None:
    assert re.search(r"no space left .*/alone,.* run the same command again", alone[1])


def test_accumulation_equals_two_workers_after_an_error(
    undisturbed: tuple[TrainConfig, Outcome], alone: tuple[TrainConfig, str]
) -> None:
    config, lone = undisturbed[0], alone[0]
    two, one = final(config), final(lone)
    weights = [key for key in two if "exp_avg" not in key]
    assert all(torch.allclose(two[key], one[key], atol=5e-4) for key in weights)
    assert not same_bits(two, one), "rounding must differ, or the two runs were one"
    theirs, ours = history(config), history(lone)
    assert theirs[-2]["loss"] == pytest.approx(ours[-2]["loss"], abs=1e-3)
    assert progress(lone)["step"] == progress(config)["step"]


def test_killed_workers_resume_bit_identically(
    undisturbed: tuple[TrainConfig, Outcome], folder: Path, driver: Cluster
) -> None:
    config, _ = undisturbed
    killed = configuration(folder, "workers-killed")
    steps = sorted(random.sample(range(2, progress(config)["step"] - 6), 3))
    done: list[Outcome] = []
    thread = threading.Thread(target=lambda: done.append(run(killed, HERE, prepare(killed))))
    thread.start()
    former: set[int] = set()

    def replaced() -> bool:
        present = {worker.pid for worker in train_workers(driver)}
        return len(present) == config.run.workers and not present & former

    for step in steps:
        wait_for("all workers are new ones", replaced)
        due = max(step, saved(killed) + 1)  # so that they have trained
        wait_for(f"step {due}", lambda due=due: seen(killed, due))  # type: ignore[misc]
        workers = train_workers(driver)
        former |= {worker.pid for worker in workers}
        victim = random.choice(workers)
        if jemalloc := allocator.library():
            assert jemalloc.name in Path(f"/proc/{victim.pid}/maps").read_text()
        victim.send_signal(signal.SIGKILL)
        victim.wait(30)
    thread.join(300)
    assert done, f"killed at steps {steps}, the run did not end"
    assert same_bits(final(killed), final(config)), f"killed at steps {steps}"
    assert progress(killed) == progress(config)


def command(config: TrainConfig) -> list[str]:
    line = [sys.executable, "-m", "ray_jobs.train", "--task", "hate", "--name", str(config.name)]
    line += ["--data.root", config.data.root, "--data.limit", "300", "--model.name", "scratch-1m"]
    line += ["--model.max-tokens", "64", "--optim.lr", "1e-3", "--loop.epochs", "2"]
    line += ["--loop.batch-tokens", "640", "--loop.micro-tokens", "640", "--loop.precision", "float32"]
    line += ["--loop.checkpoint-every", "1", "--run.workers", "2", "--tracking.wandb", "off"]
    return [*line, "--run.storage", config.run.storage, "--run.registry", config.run.registry]


def surroundings(cluster: Cluster, access: dict[str, str]) -> dict[str, str]:
    """Set the environment of a job that was submitted with the storage settings in its runtime_env."""
    path = f"{ROOT}:{ROOT / 'src'}"
    job = {"runtime_env": {"env_vars": access}}
    own = {**cluster.env, "RAY_ADDRESS": cluster.address, "PYTHONPATH": path}
    return {**os.environ, **own, **access, "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(job)}


def history(config: TrainConfig) -> list[dict[str, Any]]:
    written = object_storage.read(f"{config.folder}/{HISTORY}")
    assert written
    return [json.loads(line) for line in written.splitlines()]


def validations(lines: list[dict[str, Any]]) -> dict[int, float]:
    """Return the scores by step."""
    return {line["step"]: line["validation_macro_f1"] for line in lines if "validation_macro_f1" in line}


def test_killed_driver_resumes_bit_identically_from_s3(
    undisturbed: tuple[TrainConfig, Outcome],
    cluster: Cluster,
    s3: dict[str, str],
    remote: str,
    tmp_path: Path,
) -> None:
    """Data, checkpoints, history and registry are all in object storage."""
    config, _ = undisturbed
    object_storage.send(data_folder(TASKS["hate"], SAMPLE), f"{remote}/hate")
    killed = configuration(tmp_path, "driver-killed")
    killed = dataclasses.replace(
        killed,
        data=dataclasses.replace(killed.data, root=remote),
        run=dataclasses.replace(killed.run, storage=f"{remote}/runs", registry=f"{remote}/models"),
    )
    environment = surroundings(cluster, s3)
    step = random.randint(2, progress(config)["step"] - 4)
    with subprocess.Popen(command(killed), env=environment, cwd=ROOT) as process:
        wait_for(f"step {step}", lambda: seen(killed, step))
        process.kill()
    wait_for("its workers end", lambda: not train_workers(cluster))
    before = history(killed)
    last = subprocess.run(
        command(killed), env=environment, cwd=ROOT, text=True, capture_output=True, timeout=300, check=False
    )
    assert last.returncode == 0, last.stdout + last.stderr
    told = re.search(r"resuming driver-killed at step (\d+)", last.stdout)
    assert told, last.stdout
    assert same_bits(final(killed), final(config)), f"killed after step {step}"
    *after, summary = history(killed)
    assert "summary" in summary
    steps = [line["step"] for line in after]
    assert steps == sorted(set(steps)), f"a step is told of twice; before: {before}"
    kept = [line for line in before if line["step"] <= int(told[1])]
    assert (
        kept
    )  # between validations, steps are logged every few seconds, so the logged steps differ between runs
    assert after[: len(kept)] == kept
    assert validations(after) == validations(history(config))
    version = resolve("hate", registry=killed.run.registry, cache=tmp_path)
    card = json.loads((version / "card.json").read_text(encoding="utf-8"))
    assert (card["run"], card["data"]["root"]) == ("driver-killed", remote)
    assert Predictor.load(version).predict(["a Vorn moved in next door"])


KEEPER = """# a command of ray_jobs.train that leaks a placement group
import ray

ray.init(logging_level="ERROR", namespace="left")

@ray.remote(num_cpus=0)
class Keeper:
    def take(self):
        self.group = ray.util.placement_group([{"CPU": 1}])
        return self.group.wait(60)

Keeper.options(name="keeper", lifetime="detached").remote()
"""


def test_leaked_placement_groups_are_released(driver: Cluster) -> None:
    subprocess.run(
        [sys.executable, "-c", KEEPER], env={**driver.env, "RAY_ADDRESS": driver.address}, check=True
    )
    keeper = ray.get_actor("keeper", namespace="left")
    try:
        assert ray.get(keeper.take.remote())  # a group requested after the end of the previous command
        wait_for("the place is taken", lambda: ray.available_resources().get("CPU") == 1)
        assert release_leaked() == 1
        wait_for("the place is free", lambda: ray.available_resources().get("CPU") == 2)
        assert release_leaked() == 0
    finally:
        ray.kill(keeper)


def test_outcome_is_the_best_validated_checkpoint(
    undisturbed: tuple[TrainConfig, Outcome],
) -> None:
    config, outcome = undisturbed
    assert outcome.metrics["validation_macro_f1"] == max(validations(history(config)).values())
    kept = [p for p in Path(config.folder).glob("checkpoint_*") if (p / "state.json").is_file()]
    assert len(kept) <= STEPS_TO_SEE
    assert not list(Path(config.folder).rglob("*.pkl"))
    assert not list(Path(config.folder).rglob("*.pt"))


def test_unwritable_storage_loses_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "runs"
    blocked.write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(OSError, match=r"--run\.storage"):
        claim(configuration(tmp_path, "x"))
    assert blocked.read_text(encoding="utf-8").startswith("a file")


def test_too_small_disk_is_rejected_before_training(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    size = Cost(parameters=free, embedding=0, linear=0, last_layer_saved=0)
    with pytest.raises(OSError, match="GB free; checkpoints of this run need"):
        check_space(configuration(tmp_path, "x"), size)


def test_too_many_workers_error_shows_the_numbers(tmp_path: Path) -> None:
    config = configuration(tmp_path, "x", workers=3)
    with pytest.raises(ValueError, match="3 workers x 1 CPU = 3 CPUs, but this machine has 2"):
        reserve(config, HERE)
    assert reserve(
        dataclasses.replace(config, run=dataclasses.replace(config.run, workers=2)), HERE
    ).scaling.num_workers
