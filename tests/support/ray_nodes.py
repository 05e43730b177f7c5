"""A second node for a test cluster: another raylet on this machine that a test can kill."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil
import ray

from serve.local_server import free_ports
from tests.support.ray_head import START_SECONDS, WORKER_PORTS, Cluster, command, wait_for

_MARKER = "TWEETELM_TEST_NODE"


@dataclass(frozen=True)
class Joined:
    """A joined node; this process must be connected to the cluster."""

    id: str
    mark: str

    def processes(self) -> list[psutil.Process]:
        """Return the node's raylet, agents and workers."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.environ().get(_MARKER) == self.mark:
                    found.append(process)
        return found

    def lose(self) -> None:
        """Kill all processes of the node at once, like a power failure."""
        found = self.processes()
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=30)

    def alive(self) -> bool:
        return self.id in _alive()


def _alive() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


@contextmanager
def joined(cluster: Cluster, cpus: int) -> Iterator[Joined]:
    """Add a node while the block runs."""
    before, mark = _alive(), uuid.uuid4().hex
    first = free_ports(WORKER_PORTS + 1)[0]
    flags = [f"--address={cluster.address}", f"--num-cpus={cpus}", "--object-store-memory=100000000"]
    flags += [f"--dashboard-agent-listen-port={first}", "--disable-usage-stats"]
    flags += [f"--min-worker-port={first + 1}", f"--max-worker-port={first + WORKER_PORTS}"]
    done = subprocess.run(
        [command("ray"), "start", *flags],
        env={**cluster.env, _MARKER: mark},
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    wait_for("the node has joined", lambda: len(_alive() - before) == 1)
    node = Joined(id=(_alive() - before).pop(), mark=mark)
    try:
        yield node
    finally:
        node.lose()
        wait_for("the node is gone", lambda: not node.alive())
