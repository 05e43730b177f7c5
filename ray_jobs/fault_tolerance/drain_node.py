"""Finds and drains the Ray node of this machine without joining the cluster, which would start a driver."""

from dataclasses import dataclass
from typing import Any

from ray import NodeID
from ray._private import services
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
from ray.core.generated import autoscaler_pb2, gcs_pb2
from ray.exceptions import RpcError

_ANSWER_S = 5.0
_ALIVE = gcs_pb2.GcsNodeInfo.ALIVE  # type: ignore[attr-defined]  # generated


@dataclass(frozen=True)
class Node:
    """A node of a running cluster."""

    control: Any
    cluster: str
    id: str

    def alive(self) -> bool | None:
        """Return whether the node is alive; None if the GCS does not answer."""
        try:
            return bool(self.control.check_alive([NodeID.from_hex(self.id)], _ANSWER_S)[0])
        except RpcError:
            return None

    def drain(self, stops_at: float) -> str:
        """Drain the node, whose machine stops at `stops_at` (Unix seconds); returns why Ray refuses, or
        ""."""
        reason = autoscaler_pb2.DRAIN_NODE_REASON_PREEMPTION  # type: ignore[attr-defined]  # generated
        try:
            accepted, refusal = self.control.drain_node(
                self.id, reason, "the machine is preempted", int(stops_at * 1000)
            )
        except RpcError as error:
            return f"Ray's control plane does not answer: {error}"
        return "" if accepted else f"Ray refuses: {refusal}"


def find_node(address: str | None, node: str | None) -> Node:
    """Return the worker node on this machine, or the node with the given id.

    Raises:
        ConnectionError: no Ray runs on this machine, or it does not answer.
        ValueError: no node or several nodes match, or the node is the head, which cannot be drained.
    """
    cluster = services.canonicalize_bootstrap_address_or_die(address or "auto")
    try:
        control = GcsClient(address=cluster)
        known = control.get_all_node_info(timeout=_ANSWER_S).items()
    except RpcError as error:
        raise ConnectionError(f"no Ray answers at {cluster}: {error}") from error
    address_here = services.get_node_ip_address(cluster)
    alive = {id_.hex(): info for id_, info in known if info.state == _ALIVE}
    matching = [id_ for id_, info in alive.items() if id_ == node or (not node and _on(info, address_here))]
    if len(matching) != 1:
        listed = "".join(f"\n  {id_}  {info.node_manager_address}" for id_, info in alive.items())
        raise ValueError(
            f"{len(matching)} Ray nodes match {node or address_here}; choose one with --node:{listed}"
        )
    if alive[matching[0]].is_head_node:
        raise ValueError(
            f"node {matching[0]} is the head, which cannot be drained; run this on a worker node"
        )
    return Node(control, cluster, matching[0])


def _on(info: Any, address: str) -> bool:
    return bool(info.node_manager_address == address)
