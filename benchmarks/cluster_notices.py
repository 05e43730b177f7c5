"""Spot notices for hosts of the lab.

A fake metadata service on each host sends the notice, at the address that AWS uses. The watcher that
cluster.yaml starts reads it. The host is powered off when the notice period ends.
"""

import threading
import time
from collections.abc import Sequence

from tests.lab.hosts import ROOT, Host

ADDRESS = "169.254.169.254"
WARNING_S = 60  # AWS gives 120
_FILE = "/tmp/notice"
_ON_HOST = ". ~/tweetelm/serve/deploy/node.sh; setsid nohup"


class SpotNotices:
    """Fake metadata services and spot watchers on the worker hosts, and timers that power hosts off."""

    def __init__(self, head: Host, workers: Sequence[Host]) -> None:
        self.head, self.workers = head, workers
        self._timers: list[threading.Timer] = []

    def start(self) -> None:
        """Start the fake metadata service and the watcher on every host that does not run them."""
        for host in self.workers:
            if any("ray_jobs.cluster.spot_watcher" in line for line in host.processes()):
                continue
            service = f"cd {ROOT} && python -m tests.support.metadata {ADDRESS} 80 {_FILE}"
            watcher = f"python -m ray_jobs.cluster.spot_watcher --address={self.head.address}:6379"
            for line in (
                f"rm -f {_FILE}; ip addr replace {ADDRESS}/32 dev lo",
                f"{_ON_HOST} sh -c '{service}' > /tmp/metadata.log 2>&1 < /dev/null &",
                f"{_ON_HOST} {watcher} > /tmp/ray/spot.log 2>&1 < /dev/null &",
            ):
                done = host.run(line)
                if done.returncode:
                    raise RuntimeError(done.stderr)

    def send(self, host: Host) -> float:
        """Send a host a notice; returns the time. The host loses power `WARNING_S` later."""
        moment = time.monotonic()
        host.run(f"echo {WARNING_S} > {_FILE}")
        timer = threading.Timer(WARNING_S, host.power_off)
        timer.start()
        self._timers.append(timer)
        return moment

    def wait_until_off(self) -> None:
        """Wait until every host with a notice is off."""
        while self._timers:
            self._timers.pop().join()
