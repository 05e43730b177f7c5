"""What becomes of a run whose command is gone."""

import logging
import os
from typing import Any

import ray
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.util.placement_group import PlacementGroup, remove_placement_group

_OURS = "ray_jobs."


class ExitWithDriver(WorkerGroupCallback):
    """Ends a run's controller when the command that it works for is gone.

    Ray then ends the workers first, and the controller takes that for a failure of theirs and asks for places
    for new ones. Places that are asked for after a job's end are given back by nobody (seen with Ray 2.60):
    on a cluster that lives on, the next run would wait for them for ever. Ray Train's public callbacks know
    of no moment before places are asked for.
    """

    def before_worker_group_start(self, worker_group_context: Any) -> None:
        """Called in the controller's own process."""
        mine = ray.get_runtime_context().get_job_id()
        if any(job["JobID"] == mine and job["IsDead"] for job in ray._private.state.jobs()):
            os._exit(1)


class Cleaner(PlacementGroupCleanerCallback):
    """Ray Train's, which gives back the place of a trial that is pruned, without a warning for each."""

    def after_controller_start(self, train_run_context: Any) -> None:
        """Called in the controller's own process."""
        super().after_controller_start(train_run_context)
        cleaner: Any = self._cleaner
        if cleaner is not None:
            cleaner.__ray_call__.remote(_only_errors)


def _only_errors(_cleaner: Any) -> None:
    logging.getLogger("ray.train").setLevel(logging.ERROR)


def release_leaked() -> int:
    """Give back what commands of ours that are gone still hold, and return how many placement groups that
    were: a job that ends between the question of `ExitWithDriver` and the request leaves one.

    Ray itself keeps a group as long as the actor that asked for it lives; those of ours do not outlive
    their commands.
    """
    gone = {job["JobID"] for job in ray._private.state.jobs() if job["IsDead"] and _OURS in job["Entrypoint"]}
    table = ray.util.placement_group_table()
    left = [key for key, group in table.items() if key[-8:] in gone and group["state"] != "REMOVED"]
    for key in left:
        remove_placement_group(PlacementGroup(ray.PlacementGroupID(bytes.fromhex(key))))
    return len(left)
