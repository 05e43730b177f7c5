"""Workers that leave a run before its end: all after the same step, the one in hand, with its state saved.

Three things ask them to: a host that is being taken back, another number of workers
(`ray_jobs.fault_tolerance.elastic`),
and a person (`ray_jobs.fault_tolerance.signals`).
For the first, Ray Train has a notice that reaches every worker, and
restarts that do not count as failures; the other two travel the same way.
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
_PATIENCE_S = 600.0  # for a step and its checkpoint, before Ray ends workers that do not leave


@dataclass(frozen=True)
class Leave(PreemptionInfo):
    """A notice to leave though no host is taken back."""

    reason: str = ""


class PreemptedError(RayActorError):
    """Ends the training function of a worker that has left.

    To return would tell Ray Train that training is done. Of the errors that it restarts a run after, it
    counts this kind as a host that was taken back, and every other one as a failure.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("", f"left: {reason}", False, True)


def request_preemption(workers: Iterable[Any], reason: str) -> None:
    """Called in a run's controller, with all its workers."""
    until = int((time.time() + _PATIENCE_S) * 1000)
    for worker in workers:
        worker.actor.mark_preempt.remote(Leave(until, {}, reason))


@dataclass(kw_only=True)
class PreemptionPoller:
    """Asks whether to leave. Every worker calls this after every step, and all get the same answer.

    The question costs some milliseconds, a tenth of a small model's step. So it is put about once a second,
    or after each step where that takes longer.
    """

    strategy: "DataParallel"
    every: int = 1
    left: int = 1
    asked: float = field(default_factory=time.perf_counter)

    def __call__(self) -> str:
        """Why all workers leave now, or nothing."""
        self.left -= 1
        if self.left:
            return ""
        reason, now = _reason(), time.perf_counter()
        step = self.strategy.gather((now - self.asked) / self.every)[0]  # the first worker's clock counts
        self.every = self.left = min(max(1, int(_ASK_EVERY_S / step)), 2 * self.every)
        self.asked = now
        return reason


def _reason() -> str:
    notice = ray.train.get_preemption_info()
    if notice is None:
        return ""
    if isinstance(notice, Leave):
        return notice.reason
    return f"{len(notice.preempted_node_to_ranks)} of its machines will be taken back"
