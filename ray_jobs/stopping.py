"""`ray job stop`, or Ctrl-C: runs save their state and close their books before they end."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put
from ray.train import ControllerError
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.execution.callback import WorkerGroupCallback

from ray_jobs.elastic import Elastic
from ray_jobs.leaving import ask_to_leave

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TRAINS = ("RUNNING", "PREEMPTING")
_LEAVE_WITHIN_S = 45.0  # less than RAY_JOB_STOP_WAIT_TIME_S in runtime_env.yaml


class StoppedError(Exception):
    """A person has stopped the run."""


def _key() -> bytes:
    return f"tweetelm-stop-{ray.get_runtime_context().get_job_id()}".encode()


def ask_to_stop() -> None:
    """End all runs of this job."""
    _internal_kv_put(_key(), b"1")


def asked_to_stop() -> bool:
    """Whether somebody has, anywhere in this job."""
    try:
        return _internal_kv_get(_key()) is not None
    except ray.exceptions.RpcError:  # the control plane is away for a moment: ask again
        return False


class StopsWhenAsked(WorkerGroupCallback):
    """Called in a run's controller. First its workers leave; then it ends in place of starting new ones."""

    def __init__(self) -> None:
        self._workers: list[Any] = []

    def before_worker_group_start(self, worker_group_context: Any) -> None:
        if asked_to_stop():
            raise ControllerError(StoppedError("stopped"))

    def after_worker_group_start(self, worker_group: Any) -> None:
        self._workers = worker_group.get_workers()

    def after_worker_group_poll_status(self, worker_group_status: Any) -> None:
        if self._workers and asked_to_stop():
            ask_to_leave(self._workers, "the run was stopped")
            self._workers = []


class Trainer(TorchTrainer):  # typed as V1, is V2
    """Ray's, with our answer to signals and our way to be elastic."""

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

    def _initialize_and_run_controller(self, **parts: Any) -> Any:
        sizes: Any = self.scaling_config
        if sizes.elasticity_enabled:
            parts["scaling_policy"] = Elastic(sizes)
        return super()._initialize_and_run_controller(**parts)  # type: ignore[misc]

    def _register_sigint_handler(self, controller: Any) -> None:
        """Ray's own answers to SIGINT with exit status 0, and to SIGTERM not at all."""

        def answer(_signal: int, _frame: Any) -> None:
            for each in _SIGNALS:
                signal.signal(each, signal.default_int_handler)  # a second one does not wait
            if not _trains(controller):
                raise KeyboardInterrupt
            print("stopping: the state of the next step is saved first", flush=True)
            ask_to_stop()

        for each in _SIGNALS:
            signal.signal(each, answer)


@contextlib.contextmanager
def trials_leave() -> Iterator[None]:
    """A signal to a search that runs inside is answered by its trials; when their workers have left, the
    search ends as if it had been killed, from which it goes on.

    Tune's own answer to Ctrl-C is to hand back what there is, as if that were all.

    Raises:
        KeyboardInterrupt: a signal has stopped it.
    """

    def answer(_signal: int, _frame: Any) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.default_int_handler)  # a second one does not wait
        print("stopping: the state of each trial's next step is saved first", flush=True)
        ask_to_stop()
        until = time.monotonic() + _LEAVE_WITHIN_S
        while _workers_left() and time.monotonic() < until:
            time.sleep(0.2)
        raise KeyboardInterrupt

    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    with _handlers_kept(answer):
        yield


def _workers_left() -> bool:
    """Whether a training worker of this job is alive."""
    actors = ray._private.state.state.actor_table(None, ray.get_runtime_context().job_id, "ALIVE")
    return any("RayTrainWorker" in actor["ActorClassName"] for actor in actors.values())


def _trains(controller: Any) -> bool:
    """Whether there are workers that could save anything."""
    try:
        state = ray.get(controller.get_state.remote(), timeout=1)
    except (ray.exceptions.RayError, TimeoutError):  # it waits for places, or is gone
        return False
    return state._state_type.state_name in _TRAINS


@contextlib.contextmanager
def _handlers_kept(meanwhile: Callable[[int, Any], None] | None = None) -> Iterator[None]:
    """Signals are answered afterwards as they were before, and inside by `meanwhile`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    if meanwhile:
        for each in _SIGNALS:
            signal.signal(each, meanwhile)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
