"""Elastic training and spot notices on a cluster of two nodes: nodes are drained, lost and added."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from ray_jobs.cluster.connect import Resources
from ray_jobs.training.resources import reserve
from tests.support.metadata import metadata
from tests.support.places import ROOT
from tests.support.ray_head import Cluster, wait_for
from tests.support.ray_nodes import Joined, joined
from tests.support.ray_recorded import Running, frozen
from tweetelm.config.train_config import (
    DataConfig,
    LoopConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    TrackingConfig,
    TrainConfig,
)

pytestmark = [pytest.mark.ray, pytest.mark.slow]
CPUS = 2  # per node and per worker, so that two workers never share a node
HERE = Resources(cpus=2 * CPUS, gpus=0, local=True)


def configuration(folder: Path, name: str, fewest: int | None = None, **loop: Any) -> TrainConfig:
    return TrainConfig(
        task="hate",
        name=name,
        data=DataConfig(root="sample", limit=300),
        model=ModelConfig(name="scratch-1m", max_tokens=64),
        optim=OptimConfig(lr=1e-4),
        loop=LoopConfig(
            epochs=12,
            batch_tokens=640,
            micro_tokens=640,
            precision="float32",
            validate_every=1000,  # only the last checkpoint, and those that a test causes
            **loop,
        ),
        run=RunConfig(workers=2, min_workers=fewest, cpus=CPUS, storage=str(folder / "runs"), retries=1),
        tracking=TrackingConfig(wandb="off"),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elastic")


@pytest.fixture(scope="module", autouse=True)
def watched(driver: Cluster) -> Iterator[None]:
    """Make Ray Train poll for notices often. Workers have one thread, since all nodes are this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "ray_jobs.training.launcher.reserve", lambda *a: dataclasses.replace(reserve(*a), cpus=1)
        )
        patch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "1")
        patch.setenv("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "0.2")
        yield


@pytest.fixture(scope="module")
def second(driver: Cluster) -> Iterator[Joined]:
    with joined(driver, CPUS) as node:
        yield node


@pytest.fixture(scope="module")
def undisturbed(driver: Cluster, folder: Path, second: Joined) -> dict[str, torch.Tensor]:
    return Running(configuration(folder, "undisturbed"), HERE, driver.logs).start().end()


def watcher(cluster: Cluster, node: str, *flags: str) -> "subprocess.Popen[str]":
    line = [
        sys.executable,
        "-m",
        "ray_jobs.cluster.spot_watcher",
        "--address",
        cluster.address,
        "--node",
        node,
    ]
    return subprocess.Popen(
        [*line, "--every", "0.2", *flags],
        env={**cluster.env, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_spot_notice_moves_a_run_without_losing_a_step(
    undisturbed: dict[str, torch.Tensor], driver: Cluster, folder: Path, second: Joined
) -> None:
    config = configuration(folder, "noticed")
    config = dataclasses.replace(config, run=dataclasses.replace(config.run, retries=0))
    run = Running(config, HERE, driver.logs).start()
    with metadata() as service:
        process = watcher(driver, second.id, "--metadata", service.address)
        wait_for("it trains", run.trains)
        with frozen(driver):
            service.preempt(60)
            out, _ = process.communicate(timeout=60)
        wait_for("the empty node has ended", lambda: not second.alive())
    with joined(driver, CPUS):
        weights = run.end()
    assert process.returncode == 0, out
    assert f"draining node {second.id}" in out
    (left,) = run.said(r"preempted after step (\d+), checkpoint saved: 1 of its machines")
    assert run.said(r"resuming noticed at step (\d+)") == [left]
    assert all(torch.equal(undisturbed[key], weights[key]) for key in undisturbed)


def recount() -> None:
    """Make Ray count its resources now instead of within 20 s."""
    coordinator = ray.get_actor("AutoscalingCoordinator", namespace="AutoscalingCoordinator")
    ray.get(coordinator.get_reserved_resources.remote("nobody", recompute=True))


def sizes(run: Running) -> list[int]:
    """Return the numbers of workers that the run has had, in order.

    It may begin with one: then the resources of the run before were not released yet.
    """
    seen = [size for _, size in run.reports()]
    return [size for before, size in zip([0, *seen], seen, strict=False) if size != before]


def two_train(run: Running) -> bool:
    """Trigger a recount first: a run that starts with one worker would end before the next count."""
    recount()
    return sizes(run)[-1:] == [2]


def test_elastic_run_shrinks_and_grows(
    undisturbed: dict[str, torch.Tensor],
    driver: Cluster,
    folder: Path,
    second: Joined,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ray_jobs.training.resources.RESIZE_EVERY_S", 0.5)
    run = Running(configuration(folder, "elastic", fewest=1, checkpoint_every=2), HERE, driver.logs)
    with joined(driver, CPUS) as lost:
        second.lose()  # if it still exists: no resources may be left over
        wait_for("it is gone", lambda: not second.alive())
        recount()
        run.start()
        wait_for("two workers train", lambda: two_train(run))
        process = watcher(
            driver, lost.id, "--metadata", "http://127.0.0.1:1"
        )  # nothing listens at this address
        with frozen(driver):
            lost.lose()
        wait_for("one worker trains", lambda: sizes(run)[-1] == 1)
    with ExitStack() as stack:
        with frozen(driver):
            stack.enter_context(joined(driver, CPUS))
            recount()
        weights = run.end()
    had = sizes(run)
    assert had in ([2, 1, 2], [1, 2, 1, 2])
    left = run.said(r"preempted after step (\d+), checkpoint saved: resizing from 1 to 2 workers")
    assert len(left) == had.count(1)
    assert max(run.said(r"resuming elastic at step (\d+)")) == max(left)
    worst = max((undisturbed[key] - weights[key]).abs().max().item() for key in undisturbed)
    assert worst < 1e-5
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert "Ray has stopped on this machine" in out


def test_the_head_is_never_drained(driver: Cluster) -> None:
    process = watcher(driver, ray.get_runtime_context().get_node_id(), "--now")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 2, out
    assert "is the head, which cannot be drained" in out
