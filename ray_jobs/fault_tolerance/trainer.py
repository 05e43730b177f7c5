"""Ray Train's TorchTrainer with four private methods overridden; see docs/ray-internals.md."""

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
    """Ray's trainer with this project's signal handling and elastic policy, and without the Ray Data
    actor."""

    def fit(self) -> Any:
        """Train to the end.

        Raises:
            KeyboardInterrupt: a signal stopped the run.
            TrainingFailedError: training failed.
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
        """Replace Ray's handler, which exits with status 0 on SIGINT and ignores SIGTERM."""

        def stop() -> None:
            if not _trains(controller):
                raise KeyboardInterrupt
            print("stopping: saving a checkpoint after the next step", flush=True)
            request_stop()

        on_first_signal(stop)


def _trains(controller: Any) -> bool:
    """Return whether the run has workers that can save a checkpoint."""
    try:
        state = ray.get(controller.get_state.remote(), timeout=1)
    except (ray.exceptions.RayError, TimeoutError):  # the controller waits for resources, or is gone
        return False
    return state._state_type.state_name in _TRAINS
