"""`python -m ray_jobs.cluster.spot_watcher`: drains the Ray node of a spot instance before AWS reclaims it.

Ray then schedules nothing new on the node, runs save a checkpoint and exit
(`ray_jobs.fault_tolerance.preemption`), and Serve moves its replicas. The watcher needs only Ray and the
standard library, and exits with Ray.
"""

import dataclasses
import signal
import threading
import time

from ray_jobs.cli import refuse
from ray_jobs.fault_tolerance.drain_node import Node, find_node
from ray_jobs.fault_tolerance.spot_notice import Metadata
from tweetelm.cli import command

_SILENCE_S = 60.0  # timeout for the control plane; Ray's processes use the same


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Wait for a preemption notice, then drain the Ray node of this machine.

    A notice is a spot interruption notice of AWS, or SIGTERM to this process at shutdown.
    """

    now: bool = False
    """Drain this node immediately."""
    left: float = 120.0
    """Seconds until the machine stops, used with --now and after SIGTERM."""
    every: float = 5.0
    """Seconds between polls of the metadata service."""
    metadata: str = "http://169.254.169.254"
    """Address of the instance metadata service."""
    address: str | None = None
    """host:port of Ray's GCS. Default: the Ray that runs on this machine."""
    node: str | None = None
    """Id of the Ray node; needed if several run on this machine."""


def main() -> int:
    """Run the command; returns the exit status."""
    arguments = command.parse(Arguments, module="ray_jobs.cluster.spot_watcher")
    drain_now = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: drain_now.set())
    if arguments.now:
        drain_now.set()
    with refuse():
        return watch(find_node(arguments.address, arguments.node), arguments, drain_now)


def watch(node: Node, arguments: Arguments, drain_now: threading.Event) -> int:
    """Poll until the node is drained or Ray has stopped; returns the exit status. `drain_now` requests a
    drain."""
    service, last_answer = Metadata(arguments.metadata), time.monotonic()
    say(f"node {node.id} of {node.cluster}: polling {arguments.metadata} every {arguments.every:g} s")
    while time.monotonic() - last_answer < _SILENCE_S:
        alive = node.alive()
        if alive is False:
            say("Ray has stopped on this machine")
            return 0
        last_answer = time.monotonic() if alive else last_answer
        stops_at = time.time() + arguments.left if drain_now.is_set() else service.goes_at()
        if stops_at is not None and drain(node, stops_at):
            return 0
        drain_now.wait(arguments.every if stops_at is None else 1.0)
    say(f"Ray's control plane has not answered for {_SILENCE_S:g} s")
    return 1


def drain(node: Node, stops_at: float) -> bool:
    """Drain the node before the machine stops at `stops_at` (Unix seconds); returns whether Ray accepted."""
    refusal = node.drain(stops_at)
    say(refusal or f"draining node {node.id}: the machine stops in {max(0, stops_at - time.time()):.0f} s")
    return not refusal


def say(line: str) -> None:
    """Print a line with a timestamp."""
    print(f"{time.strftime('%F %T')} {line}", flush=True)


if __name__ == "__main__":
    command.run(main)
