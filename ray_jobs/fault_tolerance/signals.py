"""`ray job stop` and Ctrl-C: workers save a checkpoint and close their trackers before the run ends."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray import tune
from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put
from ray.train import ControllerError
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.util.state import list_actors

from ray_jobs.fault_tolerance.preemption import request_preemption

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLL_EVERY_S = 0.5


class StoppedError(Exception):
    """The run was stopped on request."""


def _key() -> bytes:
    return f"tweetelm-stop-{ray.get_runtime_context().get_job_id()}".encode()


def request_stop() -> None:
    """Ask all runs of this job to stop."""
    _internal_kv_put(_key(), b"1")


def stop_requested() -> bool:
    """Return whether `request_stop` was called in any process of this job."""
    try:
        return _internal_kv_get(_key()) is not None
    except ray.exceptions.RpcError:  # the GCS is unreachable for a moment: the caller polls again
        return False


class StopOnRequest(WorkerGroupCallback):
    """Controller callback: asks the workers to save a checkpoint and exit, then ends the run."""

    def __init__(self) -> None:
        self._workers: list[Any] = []

    def before_worker_group_start(self, worker_group_context: Any) -> None:
        if stop_requested():
            raise ControllerError(StoppedError("stopped"))

    def after_worker_group_start(self, worker_group: Any) -> None:
        self._workers = worker_group.get_workers()

    def after_worker_group_poll_status(self, worker_group_status: Any) -> None:
        if self._workers and stop_requested():
            request_preemption(self._workers, "the run was stopped")
            self._workers = []


@contextlib.contextmanager
def stop_trials_on_signal() -> Iterator[None]:
    """Turn the first signal during a search into a stop request for its trials; use with `ExitAfterTrials`.

    Raises:
        KeyboardInterrupt: a signal arrived before the end of the block.
    """

    def stop() -> None:
        print("stopping: each trial saves a checkpoint after its next step", flush=True)
        request_stop()

    with restored_handlers():
        on_first_signal(stop)
        yield
        if stop_requested():
            raise KeyboardInterrupt


class ExitAfterTrials(tune.Callback):
    """Tune callback that ends a stopped search once its last worker has exited.

    Until then Tune must process the trials' reports, because the workers wait for that.
    """

    _last_poll = 0.0  # of the class: searches of older code are restored with instances that lack it

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Raise KeyboardInterrupt once a stopped search has no live workers."""
        now = time.monotonic()
        if now - self._last_poll < _POLL_EVERY_S:
            return
        self._last_poll = now
        if stop_requested() and not _workers_alive():
            raise KeyboardInterrupt


def _workers_alive() -> bool:
    """Return whether any Ray Train worker of this job is alive."""
    mine = ray.get_runtime_context().get_job_id()
    wanted: list[Any] = [
        ("class_name", "=", "RayTrainWorker"),
        ("state", "=", "ALIVE"),
        ("job_id", "=", mine),
    ]
    return bool(list_actors(filters=wanted))


def on_first_signal(stop: Callable[[], None]) -> None:
    """Call `stop` on the first signal; raise KeyboardInterrupt on the second."""

    def answer(_signal: int, _frame: Any) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.default_int_handler)
        stop()

    for each in _SIGNALS:
        signal.signal(each, answer)


@contextlib.contextmanager
def restored_handlers() -> Iterator[None]:
    """Restore the signal handlers on exit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
