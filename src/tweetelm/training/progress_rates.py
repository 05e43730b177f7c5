"""Tweets and tokens per second, and the progress line of a run."""

import time
from dataclasses import dataclass, field

from tweetelm.training.loop import Report
from tweetelm.training.phases import CLASSIFY

LOG_EVERY_S = 5.0


@dataclass(kw_only=True)
class ProgressRates:
    """Counts tweets, tokens and steps since a run started or resumed."""

    started: float = field(default_factory=time.perf_counter)
    last_logged: float = 0.0
    tweets: int = 0
    tokens: int = 0
    steps: int = 0

    def count(self, report: Report) -> bool:
        """Count a step. Returns whether to log it: every 5 s, and the first, last and validated steps."""
        self.tweets += report.tweets
        self.tokens += report.tokens
        self.steps += 1
        now = time.perf_counter()
        due = now - self.last_logged > LOG_EVERY_S or self.steps == 1 or report.step == report.total
        if not due and report.scores is None:
            return False
        self.last_logged = now
        return True

    def metrics(self, report: Report) -> dict[str, float]:
        """The numbers of a step for the trackers."""
        before = "" if report.phase == CLASSIFY else "pretrain_"
        return {
            f"{before}epoch": report.epoch,
            f"{before}loss": report.loss.item(),
            "lr": report.lr,
            "grad_norm": report.grad_norm.item(),
            "tweets_per_s": self.tweets / self._seconds,
            "tokens_per_s": self.tokens / self._seconds,
        }

    def line(self, report: Report, metric: str) -> str:
        """The progress line of a step; `metric` is the validation score to show."""
        what = "epoch" if report.phase == CLASSIFY else "language modeling, epoch"
        eta = self._seconds / self.steps * (report.total - report.step)
        line = (
            f"{what} {report.epoch:5.2f}  step {report.step}/{report.total}  loss {report.loss.item():.4f}  "
            f"{self.tweets / self._seconds:.0f} tweets/s  {self.tokens / self._seconds:.0f} tokens/s  "
            f"ETA {int(eta // 60)}:{int(eta % 60):02d}"
        )
        if report.scores is not None:
            best = " (best)" if report.improved else ""
            line += f"  validation {metric} {report.scores[metric]:.4f}{best}"
        return line

    @property
    def _seconds(self) -> float:
        return self.last_logged - self.started


def early_stopping(step: int, best_step: int) -> str:
    """The line about a run that stopped early."""
    return f"early stopping after step {step}; the best step was {best_step}"
