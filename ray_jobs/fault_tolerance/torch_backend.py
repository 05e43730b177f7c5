"""Over which network the workers of a run speak to each other."""

import os
from dataclasses import dataclass
from typing import Any

import psutil
import ray
from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend


@dataclass
class NodeIpTorchConfig(TorchConfig):
    """Torch's collectives over the network on which Ray's nodes know each other.

    Gloo would take the address that the host's own name resolves to. With Debian's and Ubuntu's /etc/hosts
    that is 127.0.1.1, so that workers on two hosts wait for each other in vain.
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
    """Tell Gloo, in this process, which interface has the node's address; a value that is set wins."""
    address = ray.util.get_node_ip_address()
    for name, addresses in psutil.net_if_addrs().items():
        if any(one.address == address for one in addresses):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
