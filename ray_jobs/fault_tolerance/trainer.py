"""Ray Train's TorchTrainer, extended at four private methods; see docs/ray-internals.md."""

from typing import Any

import ray
from ray.train import ControllerError
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

from ray_jobs.fault_tolerance.elastic import Elastic
from ray_jobs.fault_tolerance.placement_groups import Cleaner
from ray_jobs.fault_tolerance.signals import StoppedError, on_first_signal, request_stop, restored_handlers

_TRAINS = ("RUNNING", "PREEMPTING")


class Trainer(TorchTrainer):  # typed as V1, is V2
    """Ray's trainer with our signal handling and elastic policy, without the Ray Data actor."""

    def fit(self) -> Any:
        """Train.

        Raises:
            KeyboardInterrupt: a signal has stopped it.
        """
        try:
            with restored_handlers():
                return super().fit()
        except ControllerError as error:
            if isinstance(error.controller_failure, StoppedError):
                raise KeyboardInterrupt from None
            raise

    def _create_default_callbacks(self) -> list[Any]:
        """Leave out the Ray Data actor, and replace the cleanup of placement groups."""
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

        on_first_signal(stop)


def _trains(controller: Any) -> bool:
    """Whether the run has workers that can save a checkpoint."""
    try:
        state = ray.get(controller.get_state.remote(), timeout=1)
    except (ray.exceptions.RayError, TimeoutError):  # it waits for places, or is gone
        return False
    return state._state_type.state_name in _TRAINS
