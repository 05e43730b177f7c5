"""What becomes of a run whose command is gone."""

import os
from typing import Any

import ray
from ray.train.v2._internal.execution.callback import WorkerGroupCallback


class EndWithTheJob(WorkerGroupCallback):
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
