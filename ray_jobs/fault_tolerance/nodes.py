"""The Ray node that a process stands beside, without joining the cluster: that would start a driver."""

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
        """Whether it is; None if the control plane does not answer."""
        try:
            return bool(self.control.check_alive([NodeID.from_hex(self.id)], _ANSWER_S)[0])
        except RpcError:
            return None

    def drain(self, goes: float) -> str:
        """Say that its machine goes at that time (Unix, seconds). Returns why Ray refuses, or nothing."""
        reason = autoscaler_pb2.DRAIN_NODE_REASON_PREEMPTION  # type: ignore[attr-defined]  # generated
        try:
            accepted, refusal = self.control.drain_node(
                self.id, reason, "the machine is taken back", int(goes * 1000)
            )
        except RpcError as error:
            return f"Ray's control plane does not answer: {error}"
        return "" if accepted else f"Ray refuses: {refusal}"


def find_node(address: str | None, node: str | None) -> Node:
    """The worker node on this machine, or that of the given id.

    Raises:
        ConnectionError: no Ray runs here, or it does not answer.
        ValueError: there is none, there are several, or it is the head, which cannot go.
    """
    cluster = services.canonicalize_bootstrap_address_or_die(address or "auto")
    try:
        control = GcsClient(address=cluster)
        known = control.get_all_node_info(timeout=_ANSWER_S).items()
    except RpcError as error:
        raise ConnectionError(f"no Ray answers at {cluster}: {error}") from error
    here = services.get_node_ip_address(cluster)
    alive = {id_.hex(): info for id_, info in known if info.state == _ALIVE}
    mine = [id_ for id_, info in alive.items() if id_ == node or (not node and _on(info, here))]
    if len(mine) != 1:
        listed = "".join(f"\n  {id_}  {info.node_manager_address}" for id_, info in alive.items())
        raise ValueError(f"{len(mine)} Ray nodes are {node or here}; name one of these with --node:{listed}")
    if alive[mine[0]].is_head_node:
        raise ValueError(f"node {mine[0]} is the head: the cluster ends with it, and nothing can leave it")
    return Node(control, cluster, mine[0])


def _on(info: Any, address: str) -> bool:
    return bool(info.node_manager_address == address)
