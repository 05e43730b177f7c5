"""Graceful preemption: all workers checkpoint the same step, then exit.

It has three causes: a host is reclaimed, an elastic run changes its number of workers
(`ray_jobs.fault_tolerance.elastic`), or a user stops the run (`ray_jobs.fault_tolerance.signals`). For the
first, Ray Train sends each worker a notice and does not count the restart as a failure. The other two causes
use the same notice.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ray.train
from ray.exceptions import RayActorError
from ray.train import PreemptionInfo

if TYPE_CHECKING:
    from tweetelm.training.strategy import DataParallel

_ASK_EVERY_S = 1.0
_PATIENCE_S = 600.0  # for a step and its checkpoint; then Ray kills workers that have not exited


@dataclass(frozen=True)
class PreemptionNotice(PreemptionInfo):
    """A preemption notice with another cause than a reclaimed host."""

    reason: str = ""


class PreemptedError(RayActorError):
    """Ends the training function of a preempted worker.

    Returning would tell Ray Train that training is finished. Ray Train counts this kind of error as a
    preemption, and every other error as a failure.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("", f"preempted: {reason}", False, True)


def request_preemption(workers: Iterable[Any], reason: str) -> None:
    """Send all workers of a run a preemption notice; called in its controller."""
    until = int((time.time() + _PATIENCE_S) * 1000)
    for worker in workers:
        worker.actor.mark_preempt.remote(PreemptionNotice(until, {}, reason))


@dataclass(kw_only=True)
class PreemptionPoller:
    """Polls for a preemption notice. Every worker calls it after each step, and all get the same result.

    A poll takes milliseconds, a tenth of a small model's step. So it polls about once a second, or after each
    step if a step takes longer.
    """

    strategy: "DataParallel"
    every: int = 1
    left: int = 1
    asked: float = field(default_factory=time.perf_counter)

    def __call__(self) -> str:
        """Return the reason to exit now; "" to continue."""
        self.left -= 1
        if self.left:
            return ""
        reason, now = _reason(), time.perf_counter()
        step = self.strategy.gather((now - self.asked) / self.every)[
            0
        ]  # rank 0's clock, so that all ranks agree
        self.every = self.left = min(max(1, int(_ASK_EVERY_S / step)), 2 * self.every)
        self.asked = now
        return reason


def _reason() -> str:
    notice = ray.train.get_preemption_info()
    if notice is None:
        return ""
    if isinstance(notice, PreemptionNotice):
        return notice.reason
    return f"{len(notice.preempted_node_to_ranks)} of its machines will be preempted"
