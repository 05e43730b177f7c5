"""Prevents and releases placement groups that leak when a job's driver dies."""

import logging
import os
from typing import Any

import ray
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.util.placement_group import PlacementGroup, remove_placement_group

_COMMANDS = ("ray_jobs.", "tweetelm ")  # substrings of this project's driver command lines


class ExitWithDriver(WorkerGroupCallback):
    """Stops a run's controller when its driver is gone.

    Ray stops the workers first. The controller takes that for a worker failure and requests a new placement
    group. Ray 2.60 never releases a placement group requested after the end of its job, so the next run on
    the cluster would wait for it forever. No public callback of Ray Train runs before that request.
    """

    def before_worker_group_start(self, worker_group_context: Any) -> None:
        """Called in the controller's own process."""
        job_id = ray.get_runtime_context().get_job_id()
        if any(job["JobID"] == job_id and job["IsDead"] for job in ray._private.state.jobs()):
            os._exit(1)


class Cleaner(PlacementGroupCleanerCallback):
    """Ray Train's cleanup, which releases the placement group of a pruned trial, without its warnings."""

    def after_controller_start(self, train_run_context: Any) -> None:
        """Called in the controller's own process."""
        super().after_controller_start(train_run_context)
        cleaner: Any = self._cleaner
        if cleaner is not None:
            cleaner.__ray_call__.remote(_only_errors)


def _only_errors(_cleaner: Any) -> None:
    logging.getLogger("ray.train").setLevel(logging.ERROR)


def release_leaked() -> int:
    """Release the placement groups held by dead jobs of this project; returns their number.

    A job that ends between the check of `ExitWithDriver` and the request leaks one. Ray keeps a group while
    the actor that requested it lives; this project's actors do not outlive their drivers.
    """
    jobs = ray._private.state.jobs()
    dead = {
        job["JobID"] for job in jobs if job["IsDead"] and any(name in job["Entrypoint"] for name in _COMMANDS)
    }
    table = ray.util.placement_group_table()
    leaked = [key for key, group in table.items() if key[-8:] in dead and group["state"] != "REMOVED"]
    for key in leaked:
        remove_placement_group(PlacementGroup(ray.PlacementGroupID(bytes.fromhex(key))))
    return len(leaked)
