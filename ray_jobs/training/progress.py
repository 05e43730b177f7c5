"""Progress of a run on rank 0: printed lines or a progress bar, and metrics for the trackers."""

import logging
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ray_jobs.training.run_storage import RunStorage
from tweetelm.tracking.trackers import Tracker, open_trackers
from tweetelm.training.loop import Report
from tweetelm.training.phases import CLASSIFY
from tweetelm.training.state import Progress

if TYPE_CHECKING:
    from ray_jobs.training.worker_config import WorkerConfig

_LOG_EVERY_S = 5.0

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class ProgressLogger:
    """Counts tweets and tokens; prints and tracks metrics every 5 s and at each validation.

    Attributes:
        bar: Progress bar on a terminal; without one, lines are printed.
        quiet: Print nothing; the search shows the progress.
    """

    tracker: Tracker
    storage: RunStorage
    metric: str
    bar: Any | None
    quiet: bool = False
    started: float = field(default_factory=time.perf_counter)
    last_logged: float = 0.0
    tweets: int = 0
    tokens: int = 0
    steps: int = 0

    def log_step(self, report: Report) -> None:
        """Record one optimizer step."""
        self.tweets += report.tweets
        self.tokens += report.tokens
        self.steps += 1
        now = time.perf_counter()
        due = now - self.last_logged > _LOG_EVERY_S or self.steps == 1 or report.step == report.total
        if not due and report.scores is None:
            return
        self.last_logged, seconds = now, now - self.started
        before = "" if report.phase == CLASSIFY else "pretrain_"
        metrics = {
            f"{before}epoch": report.epoch,
            f"{before}loss": report.loss.item(),
            "lr": report.lr,
            "grad_norm": report.grad_norm.item(),
            "tweets_per_s": self.tweets / seconds,
            "tokens_per_s": self.tokens / seconds,
        }
        scores = {f"validation_{key}": value for key, value in (report.scores or {}).items()}
        self.tracker.log(metrics | scores, report.step)
        if not self.quiet:
            self._print_step(report, metrics, seconds / self.steps * (report.total - report.step))

    def _print_step(self, report: Report, metrics: dict[str, float], eta: float) -> None:
        what = "epoch" if report.phase == CLASSIFY else "language modeling, epoch"
        line = (
            f"{what} {report.epoch:5.2f}  step {report.step}/{report.total}  loss {report.loss.item():.4f}  "
            f"{metrics['tweets_per_s']:.0f} tweets/s  {metrics['tokens_per_s']:.0f} tokens/s  "
            f"ETA {int(eta // 60)}:{int(eta % 60):02d}"
        )
        if report.scores is not None:
            best = " (best)" if report.improved else ""
            line += f"  validation {self.metric} {report.scores[self.metric]:.4f}{best}"
        if self.bar is not None:
            self.bar.total, self.bar.n = report.total, report.step
            self.bar.set_description(line)
        if self.bar is None or report.scores is not None:
            print(line, flush=True)

    def sync(self) -> None:
        """Store the history durably, before a checkpoint."""
        self.storage.sync()

    def print(self, line: str) -> None:
        """Print a line unless quiet."""
        if not self.quiet:
            print(line, flush=True)

    def abort(self) -> None:
        """Close the trackers of a run that ends unfinished."""
        self.tracker.leave()
        try:
            self.storage.close()
        except OSError as error:  # the last checkpoint has its history; do not mask another error
            log.warning("uploading the last lines of this run's history failed: %s", error)
        if self.bar is not None:
            self.bar.close()

    def close(self, progress: Progress) -> None:
        """Close the trackers of a finished run, and report early stopping.

        Raises:
            OSError: the history cannot be stored.
        """
        if progress.stopped:
            self.print(f"early stopping after step {progress.step}; the best step was {progress.best_step}")
        summary = {"best": progress.best, "best_step": progress.best_step, "steps": progress.step}
        self.tracker.finish(summary)
        self.storage.close()
        if self.bar is not None:
            self.bar.close()


def open_progress_logger(setup: "WorkerConfig", step: int) -> ProgressLogger:
    """Open a run's trackers, and a progress bar on a terminal.

    Args:
        setup: Configuration of the worker.
        step: Step from which training resumes; 0 for a new run.
    """
    config, storage = setup.config, RunStorage(setup.folder)
    storage.restore(step)
    tracker = open_trackers(
        config,
        storage.path,
        step,
        api_key_present=setup.api_key_present,
        environ=os.environ,
        place=setup.folder,
    )
    if step and not setup.quiet:
        print(f"resuming {config.run_name} at step {step}", flush=True)
    bar = None
    if setup.live and not setup.quiet:
        from ray.experimental import tqdm_ray

        bar = tqdm_ray.tqdm(desc=config.run_name, unit="step")
    metric = config.task.metric
    return ProgressLogger(tracker=tracker, storage=storage, metric=metric, bar=bar, quiet=setup.quiet)
