"""`ray job stop`, or Ctrl-C: the run saves its state and closes its books before it ends."""

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
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.util.state import list_actors

from ray_jobs.fault_tolerance.elastic import Elastic
from ray_jobs.fault_tolerance.placement_groups import Cleaner
from ray_jobs.fault_tolerance.preemption import request_preemption

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TRAINS = ("RUNNING", "PREEMPTING")
_LOOK_EVERY_S = 0.5


class StoppedError(Exception):
    """A person has stopped the run."""


def _key() -> bytes:
    return f"tweetelm-stop-{ray.get_runtime_context().get_job_id()}".encode()


def request_stop() -> None:
    """End all runs of this job."""
    _internal_kv_put(_key(), b"1")


def stop_requested() -> bool:
    """Whether somebody has, anywhere in this job."""
    try:
        return _internal_kv_get(_key()) is not None
    except ray.exceptions.RpcError:  # the control plane is away for a moment: ask again
        return False


class StopOnRequest(WorkerGroupCallback):
    """Called in a run's controller. First its workers leave; then it ends in place of starting new ones."""

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


class Trainer(TorchTrainer):  # typed as V1, is V2
    """Ray's, with our answer to signals and our way to be elastic, and without a process for Ray Data."""

    def fit(self) -> Any:
        """Train.

        Raises:
            KeyboardInterrupt: a signal has stopped it.
        """
        try:
            with _handlers_kept():
                return super().fit()
        except ControllerError as error:
            if isinstance(error.controller_failure, StoppedError):
                raise KeyboardInterrupt from None
            raise

    def _create_default_callbacks(self) -> list[Any]:
        """Ray's own start an actor that deals out datasets of Ray Data; there are none."""
        callbacks: list[Any] = super()._create_default_callbacks()  # type: ignore[misc]
        left_out = (DatasetsCallback, PlacementGroupCleanerCallback)
        return [Cleaner(), *(callback for callback in callbacks if not isinstance(callback, left_out))]

    def _initialize_and_run_controller(self, **parts: Any) -> Any:
        sizes: Any = self.scaling_config
        if sizes.elasticity_enabled:
            parts["scaling_policy"] = Elastic(sizes)
        return super()._initialize_and_run_controller(**parts)  # type: ignore[misc]

    def _register_sigint_handler(self, controller: Any) -> None:
        """Ray's own answers to SIGINT with exit status 0, and to SIGTERM not at all."""

        def stop() -> None:
            if not _trains(controller):
                raise KeyboardInterrupt
            print("stopping: the state of the next step is saved first", flush=True)
            request_stop()

        _answer_signals(stop)


def _trains(controller: Any) -> bool:
    """Whether there are workers that could save anything."""
    try:
        state = ray.get(controller.get_state.remote(), timeout=1)
    except (ray.exceptions.RayError, TimeoutError):  # it waits for places, or is gone
        return False
    return state._state_type.state_name in _TRAINS


@contextlib.contextmanager
def stop_trials_on_signal() -> Iterator[None]:
    """Around a search with `ExitAfterTrials`: a signal asks its trials to leave.

    Raises:
        KeyboardInterrupt: a signal came, if only in time for the last of them.
    """

    def stop() -> None:
        print("stopping: the state of each trial's next step is saved first", flush=True)
        request_stop()

    with _handlers_kept():
        _answer_signals(stop)
        yield
        if stop_requested():
            raise KeyboardInterrupt


class ExitAfterTrials(tune.Callback):
    """Called in a search's command. Until the last trial has left, Tune must take their reports: they wait
    for it."""

    def __init__(self) -> None:
        self._looked = 0.0

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Raises KeyboardInterrupt when a signal has stopped the search."""
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY_S:
            return
        self._looked = now
        if stop_requested() and not _workers_alive():
            raise KeyboardInterrupt


def _workers_alive() -> bool:
    """Whether any worker of this job has not yet left."""
    mine = ray.get_runtime_context().get_job_id()
    wanted: list[Any] = [
        ("class_name", "=", "RayTrainWorker"),
        ("state", "=", "ALIVE"),
        ("job_id", "=", mine),
    ]
    return bool(list_actors(filters=wanted))


def _answer_signals(stop: Callable[[], None]) -> None:
    """The first one calls `stop`; a second one does not wait."""

    def answer(_signal: int, _frame: Any) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.default_int_handler)
        stop()

    for each in _SIGNALS:
        signal.signal(each, answer)


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Signals are answered afterwards as they were before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
