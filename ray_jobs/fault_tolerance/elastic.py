"""Elastic training: continues with fewer workers when a machine is lost, and with more when one joins."""

import copy
import os
import socket
import time
from typing import Any

import ray
from ray.train.v2._internal.constants import WORKER_GROUP_START_TIMEOUT_S_ENV_VAR
from ray.train.v2._internal.execution.scaling_policy import (
    ElasticScalingPolicy,
    NoopDecision,
    ResizeDecision,
    ScalingDecision,
)

from ray_jobs.fault_tolerance.preemption import request_preemption

RESIZE_EVERY_S = 180.0  # a restart takes up to a minute, and machines may join one by one
_CONNECT_S = 2.0
_PAUSE_S = 1.0
_PLACEMENT_S = 120.0  # wait for a placement group; then available resources are counted again
TRIES = int(24 * 3600 / _PLACEMENT_S)


def _answers(node: dict[str, Any]) -> bool:
    """Whether a node's raylet accepts a connection; the GCS detects a lost node only after many
    heartbeats."""
    if not node["Alive"]:
        return False
    try:
        address = (node["NodeManagerAddress"], node["NodeManagerPort"])
        socket.create_connection(address, timeout=_CONNECT_S).close()
    except OSError:
        return False
    return True


class Elastic(ElasticScalingPolicy):
    """Ray Train's elastic policy with four changes.

    1. A draining node, or one that died less than 30 s ago, gets no workers.
    2. The wait for a placement group after a resize is bounded.
    3. Workers save a checkpoint before a resize, so no step is lost.
    4. A run that is killed and submitted again reuses its reservation; Ray reserves anew for each attempt.
    """

    def after_controller_start(self, train_run_context: Any) -> None:
        os.environ[WORKER_GROUP_START_TIMEOUT_S_ENV_VAR] = str(_PLACEMENT_S)
        context, run_config = copy.copy(train_run_context), train_run_context.run_config
        object.__setattr__(
            context, "run_id", f"{run_config.storage_path}/{run_config.name}"
        )  # the dataclass is frozen
        super().after_controller_start(context)

    def _count_possible_workers(self, reserved_resources: Any) -> int:
        leaving = ray._private.state.state.get_draining_nodes()
        available = {
            node["NodeID"] for node in ray.nodes() if node["NodeID"] not in leaving and _answers(node)
        }
        reserved = {node: has for node, has in reserved_resources.items() if node in available}
        return int(super()._count_possible_workers(reserved))

    def make_decision_for_non_running_worker_group(self) -> ScalingDecision:
        decision = super().make_decision_for_non_running_worker_group()
        if isinstance(decision, NoopDecision):
            time.sleep(_PAUSE_S)  # Ray would retry in a busy loop
        return decision

    def make_decision_for_running_worker_group(
        self, worker_group_state: Any, worker_group_status: Any
    ) -> ScalingDecision:
        decision = super().make_decision_for_running_worker_group(worker_group_state, worker_group_status)
        if isinstance(decision, ResizeDecision):
            now = worker_group_state.num_workers
            request_preemption(
                worker_group_state.workers, f"resizing from {now} to {decision.num_workers} workers"
            )
            return NoopDecision()
        return decision
