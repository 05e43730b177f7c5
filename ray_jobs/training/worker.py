"""The Ray Train worker: the library's training loop with checkpoints, reports and progress."""

import atexit
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from ray.train import Checkpoint, CheckpointConsistencyMode, CheckpointUploadMode
from transformers.utils.logging import disable_progress_bar

from ray_jobs.fault_tolerance.preemption import PreemptedError, PreemptionPoller
from ray_jobs.training.progress import ProgressLogger, open_progress_logger
from ray_jobs.training.worker_config import SCORE, WorkerConfig
from tweetelm.config.train_config import TrainConfig
from tweetelm.evaluation.validation import Scorer
from tweetelm.precision import choose, use_fast_float32
from tweetelm.training.build_classifier import build_state
from tweetelm.training.checkpoint import save_checkpoint
from tweetelm.training.loop import Report, fit
from tweetelm.training.phases import CLASSIFY
from tweetelm.training.prepare import Prepared
from tweetelm.training.state import TrainingState
from tweetelm.training.strategy import DataParallel

_PATIENCE_S = 600.0  # for the upload of the last checkpoint


def work(setup: WorkerConfig) -> None:
    """Train, or resume from the last checkpoint."""
    config, context = setup.config, ray.train.get_context()
    prepared: Prepared = ray.get(setup.prepared)
    device = ray.train.torch.get_device()
    assert isinstance(device, torch.device)
    logging.getLogger().setLevel(logging.WARNING)  # Ray Train logs every report
    disable_progress_bar()  # transformers shows one per file
    strategy = DataParallel(device=device, rank=context.get_world_rank(), world=context.get_world_size())
    state = build_state(config, prepared, device)
    if choose(config.loop.precision, device) == "float32":
        use_fast_float32(state.model)
    checkpoint = ray.train.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as folder:
            state.restore(Path(folder))
    progress = open_progress_logger(setup, state.progress.step) if strategy.is_rank0 else None
    scorer = Scorer(rows=prepared.validation, config=config, strategy=strategy)
    reporter = Reporter(config=config, prepared=prepared, state=state, is_rank0=strategy.is_rank0)
    metric = config.task.metric
    steps = fit(
        state,
        prepared.train,
        config,
        unlabeled=prepared.unlabeled,
        strategy=strategy,
        scorer=scorer,
        metric=metric,
    )
    try:
        with _exit_at_once():
            _train(steps, state, PreemptionPoller(strategy=strategy), reporter, progress)
    except BaseException:
        if progress:
            progress.abort()
        raise
    if progress:  # finish the trackers only once the last checkpoint is committed
        ray.train.get_all_reported_checkpoints(CheckpointConsistencyMode.COMMITTED, timeout_s=_PATIENCE_S)
        progress.close(state.progress)


@contextlib.contextmanager
def _exit_at_once() -> Iterator[None]:
    """Make the process exit without cleanup if Ray ends it, as for a pruned trial. Otherwise Python shuts
    down while torch computes in another thread, which aborts with C++ traces."""

    def leave() -> None:
        os._exit(0)

    atexit.register(leave)
    try:
        yield
    finally:
        atexit.unregister(leave)


def _train(
    steps: Iterator[Report],
    state: TrainingState,
    poll_preemption: PreemptionPoller,
    reporter: "Reporter",
    progress: ProgressLogger | None,
) -> None:
    """Train to the last step, or until the workers are preempted.

    Raises:
        PreemptedError: the workers were preempted; a checkpoint is saved.
    """
    for report in steps:
        if progress:
            progress.log_step(report)
        done = report.step == report.total or state.progress.stopped
        reason = "" if done else poll_preemption()
        if report.checkpoint or reason:
            if progress:
                progress.sync()  # before the checkpoint, so that it has its history
            reporter(report, leaving=bool(reason))
        if reason:
            if progress:
                progress.print(f"preempted after step {report.step}, checkpoint saved: {reason}")
            logging.getLogger("ray.train").setLevel(logging.CRITICAL)  # Ray would log a traceback
            raise PreemptedError(reason)


@dataclass(frozen=True, kw_only=True)
class Reporter:
    """Reports checkpoints to Ray. Every worker must call it; rank 0 provides the files and metrics."""

    config: TrainConfig
    prepared: Prepared
    state: TrainingState
    is_rank0: bool
    started: float = field(default_factory=time.perf_counter)

    def __call__(self, report: Report, *, leaving: bool = False) -> None:
        """Report a step; with `leaving`, wait until the checkpoint is uploaded."""
        scores = {f"validation_{key}": value for key, value in (report.scores or {}).items()}
        metrics = {
            "step": report.step,
            "phase": report.phase,
            "epoch": report.epoch if report.phase == CLASSIFY else 0.0,  # ASHA prunes by this
            "loss": report.loss.item(),
            "seconds": time.perf_counter() - self.started,
            **scores,
        }
        metrics[SCORE] = scores.get(f"validation_{self.config.task.metric}", -1.0)
        checkpoint = self._save(metrics) if self.is_rank0 else None
        mode = CheckpointUploadMode.SYNC if leaving else CheckpointUploadMode.ASYNC
        ray.train.report(metrics, checkpoint=checkpoint, checkpoint_upload_mode=mode)

    def _save(self, metrics: dict[str, Any]) -> Checkpoint:
        folder = Path(tempfile.mkdtemp(prefix="tweetelm-"))  # Ray deletes it after the upload
        stored_metrics = {
            name: value for name, value in metrics.items() if name != "seconds"
        }  # see ray_jobs.training.checkpoints
        save_checkpoint(folder, self.state, self.config, self.prepared, stored_metrics)
        return Checkpoint.from_directory(folder)
