"""torch.distributed over the network that connects the Ray nodes."""

import os
from dataclasses import dataclass
from typing import Any

import psutil
import ray
from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend


@dataclass
class NodeIpTorchConfig(TorchConfig):
    """Binds Gloo to the interface of the Ray node's address.

    By default Gloo binds to the address that the host name resolves to. On Debian and Ubuntu that is
    127.0.1.1, and workers on two hosts never connect.
    """

    @property
    def backend_cls(self) -> type[_TorchBackend]:
        """Called by Ray Train."""
        return _NodeIpBackend


class _NodeIpBackend(_TorchBackend):
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        worker_group.execute(name_interface)
        super().on_start(worker_group, backend_config)


def name_interface() -> None:
    """Set GLOO_SOCKET_IFNAME to the interface with the node's address, unless it is set."""
    address = ray.util.get_node_ip_address()
    for name, addresses in psutil.net_if_addrs().items():
        if any(entry.address == address for entry in addresses):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
