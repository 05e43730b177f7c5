"""`python -m ray_jobs.cluster.spot_watcher`: tell Ray that a spot instance is about to be reclaimed.

Ray then places nothing more there; runs save their state and leave
(`ray_jobs.fault_tolerance.preemption`), Serve moves its
replicas. It needs Ray and the standard library, and ends with the Ray that it stands beside.
"""

import dataclasses
import signal
import threading
import time

from ray_jobs.cli import refuse
from ray_jobs.fault_tolerance.nodes import Node, find_node
from ray_jobs.fault_tolerance.spot_notice import Metadata
from tweetelm.cli import command

_SILENCE_S = 60.0  # of the control plane; Ray's own processes end after as long


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Wait for word that this machine will be taken back, and drain its Ray node then.

    Word is a spot notice of AWS, or SIGTERM to this process from whatever shuts the machine down.
    """

    now: bool = False
    """Do not wait: drain this node."""
    left: float = 120.0
    """Seconds until the machine goes, where nobody says when: with --now, or after SIGTERM."""
    every: float = 5.0
    """Seconds between two looks at the metadata service."""
    metadata: str = "http://169.254.169.254"
    """Address of the instance metadata service."""
    address: str | None = None
    """host:port of Ray's control plane; by default of the Ray that runs here."""
    node: str | None = None
    """Id of the Ray node, where several run on this machine."""


def main() -> int:
    """Command line."""
    arguments = command.parse(Arguments, module="ray_jobs.cluster.spot_watcher")
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    if arguments.now:
        asked.set()
    with refuse():
        return watch(find_node(arguments.address, arguments.node), arguments, asked)


def watch(node: Node, arguments: Arguments, asked: threading.Event) -> int:
    """Until this machine is to go, or Ray has. `asked`: to drain now."""
    service, heard = Metadata(arguments.metadata), time.monotonic()
    say(f"node {node.id} of {node.cluster}: asking {arguments.metadata} every {arguments.every:g} s")
    while time.monotonic() - heard < _SILENCE_S:
        alive = node.alive()
        if alive is False:
            say("Ray has ended here")
            return 0
        heard = time.monotonic() if alive else heard
        goes = time.time() + arguments.left if asked.is_set() else service.goes_at()
        if goes is not None and drain(node, goes):
            return 0
        asked.wait(arguments.every if goes is None else 1.0)
    say(f"Ray's control plane has been silent for {_SILENCE_S:g} s")
    return 1


def drain(node: Node, goes: float) -> bool:
    """Whether Ray has taken note that the machine goes at that time (Unix, seconds)."""
    refusal = node.drain(goes)
    say(refusal or f"draining node {node.id}: the machine goes in {max(0, goes - time.time()):.0f} s")
    return not refusal


def say(line: str) -> None:
    """For the log."""
    print(f"{time.strftime('%F %T')} {line}", flush=True)


if __name__ == "__main__":
    command.run(main)
