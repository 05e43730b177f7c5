"""Progress of a run on rank 0: printed lines or a progress bar, and metrics for the trackers."""

import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ray_jobs.training.run_storage import RunStorage
from tweetelm.tracking.trackers import Tracker, open_trackers
from tweetelm.training.loop import Report
from tweetelm.training.progress_rates import ProgressRates, early_stopping
from tweetelm.training.state import Progress

if TYPE_CHECKING:
    from ray_jobs.training.worker_config import WorkerConfig

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
    rates: ProgressRates = field(default_factory=ProgressRates)

    def log_step(self, report: Report) -> None:
        """Record one optimizer step."""
        if not self.rates.count(report):
            return
        scores = {f"validation_{key}": value for key, value in (report.scores or {}).items()}
        self.tracker.log(self.rates.metrics(report) | scores, report.step)
        if not self.quiet:
            self._print_step(report)

    def _print_step(self, report: Report) -> None:
        line = self.rates.line(report, self.metric)
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
            self.print(early_stopping(progress.step, progress.best_step))
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
