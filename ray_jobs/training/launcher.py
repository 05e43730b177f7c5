"""A training run from its configuration to its best checkpoint: once for `train`, per trial for a search."""

import errno
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray.train
from ray.train.v2.api.config import LoggingConfig

from ray_jobs.cluster.connect import Resources
from ray_jobs.fault_tolerance.placement_groups import ExitWithDriver
from ray_jobs.fault_tolerance.signals import StopOnRequest
from ray_jobs.fault_tolerance.torch_backend import NodeIpTorchConfig
from ray_jobs.fault_tolerance.trainer import Trainer
from ray_jobs.run_dir import claim, run_folder, storage_path
from ray_jobs.training.checkpoints import leave_out_damaged
from ray_jobs.training.preflight import check_space
from ray_jobs.training.resources import cpus_per_worker, max_start_attempts, scaling, waiting_message
from ray_jobs.training.worker_config import SCORE, WorkerConfig, start_worker
from tweetelm.config.train_config import TrainConfig
from tweetelm.tasks import TASKS
from tweetelm.tracking.trackers import has_api_key

if TYPE_CHECKING:
    from tweetelm.training.prepare import Prepared

_COLLECTIVE_TIMEOUT_S = 300
_FULL = os.strerror(errno.ENOSPC)
_LATE_CHECKPOINT_S = 60.0  # after a host is gone, for those that stay to finish writing


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished run: its folder, its best checkpoint by validation, and that checkpoint's metrics."""

    folder: str
    checkpoint: str
    metrics: dict[str, Any]
    prepared: "Prepared"


def score_name(config: TrainConfig) -> str:
    """The metric that decides which checkpoint is best, as it is called in reports."""
    return f"validation_{TASKS[config.task].metric}"


def run(config: TrainConfig, resources: Resources, prepared: "Prepared | None" = None) -> Outcome:
    """Train, or resume what was interrupted, and find the best checkpoint.

    `prepared` saves preparing again.

    Raises:
        ValueError: the name belongs to a run with another configuration, or the cluster is too small.
        OSError: the storage cannot be written or is too full.
    """
    from tweetelm.training.prepare import prepare

    prepared = prepared or prepare(config)
    see_it_fits(config, prepared)
    train(config, resources, ray.put(prepared))
    return outcome(config, prepared)


def see_it_fits(config: TrainConfig, prepared: "Prepared") -> None:
    """Check disk space, and report a classifier head that is not reused.

    Raises:
        OSError: there is no room.
    """
    from tweetelm.openelm.flops import cost

    check_space(config, cost(prepared.shape(config)))
    if prepared.head:
        print(f"{config.model.name}: the classifier begins anew: {prepared.head}", flush=True)


def train(
    config: TrainConfig,
    resources: Resources,
    prepared: "ray.ObjectRef[Prepared]",
    *,
    callbacks: Sequence[Any] = (),
    quiet: bool = False,
) -> None:
    """Run Ray Train to the end. `quiet`: somebody else tells of the progress. Raises what `run` does, and
    OSError also where a disk fills up on the way."""
    logging.getLogger("ray.train").setLevel(logging.WARNING)
    claim(config)
    for line in leave_out_damaged(run_folder(config)):
        print(f"{config.run_name}: {line}", flush=True)
    waiting = waiting_message(config, resources)
    if waiting and not quiet:
        print(waiting, flush=True)
    watchers: list[Any] = [ExitWithDriver(), StopOnRequest(), *callbacks]
    trainer = Trainer(
        start_worker,
        train_loop_config={"setup": _setup(config, prepared, quiet)},
        scaling_config=scaling(config, resources),
        run_config=ray.train.RunConfig(  # type: ignore[call-arg]  # typed as V1, is V2
            name=config.run_name,
            storage_path=storage_path(config),
            failure_config=ray.train.FailureConfig(  # type: ignore[call-arg]
                max_failures=config.run.retries,
                controller_failure_limit=max_start_attempts(config),
                preemption_grace_s=_LATE_CHECKPOINT_S,
            ),
            checkpoint_config=ray.train.CheckpointConfig(
                num_to_keep=2, checkpoint_score_attribute=SCORE, checkpoint_score_order="max"
            ),
            callbacks=watchers,
            logging_config=LoggingConfig(log_level="ERROR"),
            worker_runtime_env={"env_vars": {"OMP_NUM_THREADS": str(cpus_per_worker(config, resources))}},
        ),
        torch_config=NodeIpTorchConfig(timeout_s=_COLLECTIVE_TIMEOUT_S),
    )
    _fit(trainer, run_folder(config))


def _fit(trainer: Trainer, folder: str) -> None:
    """To the end. A worker's own exception arrives as text."""
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        if _FULL not in str(error):
            raise
        raise OSError(
            f"no space left for checkpoints and history in {folder}, or for temporary files on "
            "a machine that trained. Make room and type the same command again: it goes on from the last "
            "checkpoint"
        ) from error


def outcome(config: TrainConfig, prepared: "Prepared") -> Outcome:
    """What a run that has ended came to."""
    checkpoint, metrics = best_checkpoint(config)
    return Outcome(folder=run_folder(config), checkpoint=checkpoint, metrics=metrics, prepared=prepared)


def best_checkpoint(config: TrainConfig) -> tuple[str, dict[str, Any]]:
    """The best by validation that a run has kept, and its metrics."""
    score = score_name(config)
    found = scored_checkpoints(config)
    if not found:
        raise ValueError(
            f"no checkpoint in {run_folder(config)} has a validation score; delete that folder and type the "
            "command again, which trains anew"
        )
    return max(found, key=lambda pair: float(pair[1][score]))


def scored_checkpoints(config: TrainConfig) -> list[tuple[str, dict[str, Any]]]:
    """The checkpoints that a run has kept and validation has scored; none if it has never reported."""
    try:
        result = ray.train.Result.from_path(run_folder(config))
    except RuntimeError:
        return []
    folder = run_folder(config)  # of object storage, Ray's paths lack the scheme
    pairs = [(f"{folder}/{Path(c.path).name}", metrics) for c, metrics in result.best_checkpoints or []]
    return [(path, metrics) for path, metrics in pairs if score_name(config) in metrics]


def _setup(config: TrainConfig, prepared: "ray.ObjectRef[Prepared]", quiet: bool) -> WorkerConfig:
    return WorkerConfig(
        config=config,
        prepared=prepared,
        folder=run_folder(config),
        api_key_present=has_api_key(os.environ),
        live=os.isatty(1),
        quiet=quiet,
    )
