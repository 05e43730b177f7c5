"""Launches a Ray Train run and finds its best checkpoint, for `train` and for the trials of a search."""

import errno
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray.train
from ray.train.v2.api.config import LoggingConfig

from ray_jobs.cli import typed
from ray_jobs.cluster.connect import Resources
from ray_jobs.fault_tolerance.placement_groups import ExitWithDriver
from ray_jobs.fault_tolerance.signals import StopOnRequest
from ray_jobs.fault_tolerance.torch_backend import NodeIpTorchConfig
from ray_jobs.fault_tolerance.trainer import Trainer
from ray_jobs.run_dir import claim
from ray_jobs.training.checkpoints import leave_out_damaged
from ray_jobs.training.preflight import check_base, check_space, check_unlabeled
from ray_jobs.training.resources import on_gpu, reserve
from ray_jobs.training.worker_config import SCORE, WorkerConfig, start_worker
from ray_jobs.training.worker_environment import worker_environment
from tweetelm.config.train_config import TrainConfig
from tweetelm.tracking.wandb_settings import has_api_key

if TYPE_CHECKING:
    from tweetelm.training.prepare import Prepared

_COLLECTIVE_TIMEOUT_S = 300
_FULL = os.strerror(errno.ENOSPC)
_LATE_CHECKPOINT_S = 60.0  # after the loss of a host, for the remaining workers to finish uploads


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished run: its folder, its best checkpoint by validation, and that checkpoint's metrics."""

    folder: str
    checkpoint: str
    metrics: dict[str, Any]
    prepared: "Prepared"


def score_name(config: TrainConfig) -> str:
    """Return the name of the metric that selects the best checkpoint."""
    return f"validation_{config.task.metric}"


def run(config: TrainConfig, resources: Resources, prepared: "Prepared") -> Outcome:
    """Train or resume a run, and find its best checkpoint.

    Raises:
        ValueError: the name belongs to a run with another configuration or other unlabeled tweets, or this
            machine is too small.
        OSError: the storage cannot be written or lacks space.
    """
    check_prepared(config, prepared)
    check_unlabeled(config.folder, prepared.provenance)
    check_base(config.folder, prepared.base)
    train(config, resources, ray.put(prepared))
    return outcome(config, prepared)


def check_prepared(config: TrainConfig, prepared: "Prepared") -> None:
    """Check disk space, and print why the classifier of the base model is not reused, and how many unlabeled
    tweets there are, if so.

    Raises:
        OSError: the disk is too full.
    """
    check_space(config, prepared.cost)
    if prepared.head:
        print(f"{config.model.name}: new classifier head: {prepared.head}", flush=True)
    for unlabeled in (prepared.provenance.unlabeled, prepared.provenance.distilled):
        if unlabeled:
            print(unlabeled, flush=True)


def train(
    config: TrainConfig,
    resources: Resources,
    prepared: "ray.ObjectRef[Prepared]",
    *,
    callbacks: Sequence[Any] = (),
    quiet: bool = False,
) -> None:
    """Run Ray Train to the end. With `quiet`, print nothing: a search prints its own progress.

    Raises:
        ValueError: see `run`.
        OSError: see `run`; also if a disk fills up during the run.
    """
    logging.getLogger("ray.train").setLevel(logging.WARNING)
    reservation = reserve(config, resources)
    claim(config)
    if not quiet:
        print(f"run {config.run_name}: checkpoints and history in {typed(config.folder)}", flush=True)
    for line in [*leave_out_damaged(config.folder), *([] if quiet else [reservation.waiting])]:
        if line:
            print(f"{config.run_name}: {line}", flush=True)
    watchers: list[Any] = [ExitWithDriver(), StopOnRequest(), *callbacks]
    worker = WorkerConfig(
        config=config,
        prepared=prepared,
        folder=config.folder,
        api_key_present=has_api_key(os.environ),
        live=os.isatty(1),
        quiet=quiet,
    )
    environment = worker_environment(reservation.cpus, gpu=on_gpu(config, resources))
    trainer = Trainer(
        start_worker,
        train_loop_config={"setup": worker},
        scaling_config=reservation.scaling,
        run_config=ray.train.RunConfig(  # type: ignore[call-arg]  # typed as V1, is V2
            name=config.run_name,
            storage_path=config.run.storage_folder,
            failure_config=ray.train.FailureConfig(  # type: ignore[call-arg]
                max_failures=config.run.retries,
                controller_failure_limit=reservation.start_attempts,
                preemption_grace_s=_LATE_CHECKPOINT_S,
            ),
            checkpoint_config=ray.train.CheckpointConfig(
                num_to_keep=2, checkpoint_score_attribute=SCORE, checkpoint_score_order="max"
            ),
            callbacks=watchers,
            logging_config=LoggingConfig(log_level="ERROR"),
            worker_runtime_env={"env_vars": environment},
        ),
        torch_config=NodeIpTorchConfig(timeout_s=_COLLECTIVE_TIMEOUT_S),
    )
    _fit(trainer, config.folder)


def _fit(trainer: Trainer, folder: str) -> None:
    """Fit, and turn a full disk on a worker, which arrives as text, into an OSError."""
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        if _FULL not in str(error):
            raise
        raise OSError(
            f"no space left for checkpoints and history in {folder}, or for temporary files on "
            "one of its machines. Free some space and run the same command again: it resumes from the last "
            "checkpoint"
        ) from error


def outcome(config: TrainConfig, prepared: "Prepared") -> Outcome:
    """Return the outcome of a finished run.

    Raises:
        ValueError: no checkpoint has a validation score.
    """
    checkpoint, metrics = best_checkpoint(config)
    return Outcome(folder=config.folder, checkpoint=checkpoint, metrics=metrics, prepared=prepared)


def best_checkpoint(config: TrainConfig) -> tuple[str, dict[str, Any]]:
    """Return a run's best checkpoint by validation, and its metrics.

    Raises:
        ValueError: no checkpoint has a validation score.
    """
    score = score_name(config)
    found = scored_checkpoints(config)
    if not found:
        raise ValueError(
            f"no checkpoint in {config.folder} has a validation score; delete that folder and run the "
            "command again to train from the beginning"
        )
    return max(found, key=lambda pair: float(pair[1][score]))


def scored_checkpoints(config: TrainConfig) -> list[tuple[str, dict[str, Any]]]:
    """Return a run's stored checkpoints with a validation score, and their metrics."""
    try:
        result = ray.train.Result.from_path(config.folder)
    except RuntimeError:
        return []
    folder = config.folder  # Ray's paths on object storage lack the URL scheme
    pairs = [(f"{folder}/{Path(c.path).name}", metrics) for c, metrics in result.best_checkpoints or []]
    return [(path, metrics) for path, metrics in pairs if score_name(config) in metrics]
