"""Hosts of the lab that are taken back: AWS's word comes from a stand-in at the address where AWS has it, the
watcher that cluster.yaml starts hears it, and when the time is over the host is switched off."""

import threading
import time
from collections.abc import Sequence

from tests.lab.hosts import ROOT, Host

ADDRESS = "169.254.169.254"
WARNING_S = 60  # AWS gives 120
_FILE = "/tmp/notice"
_ON_HOST = ". ~/tweetelm/serve/deploy/node.sh; setsid nohup"


class PreemptionPoller:
    """Watchers on the worker hosts, and the hosts that have had word."""

    def __init__(self, head: Host, workers: Sequence[Host]) -> None:
        self.head, self.workers = head, workers
        self._going: list[threading.Timer] = []

    def watch(self) -> None:
        """Starts the stand-in and the watcher, where they do not run."""
        for host in self.workers:
            if any("ray_jobs.cluster.spot_watcher" in line for line in host.processes()):
                continue
            stand_in = f"cd {ROOT} && python -m tests.support.metadata {ADDRESS} 80 {_FILE}"
            watcher = f"python -m ray_jobs.cluster.spot_watcher --address={self.head.address}:6379"
            for line in (
                f"rm -f {_FILE}; ip addr replace {ADDRESS}/32 dev lo",
                f"{_ON_HOST} sh -c '{stand_in}' > /tmp/metadata.log 2>&1 < /dev/null &",
                f"{_ON_HOST} {watcher} > /tmp/ray/spot.log 2>&1 < /dev/null &",
            ):
                done = host.run(line)
                if done.returncode:
                    raise RuntimeError(done.stderr)

    def give(self, host: Host) -> float:
        """Word that it goes; returns when."""
        moment = time.monotonic()
        host.run(f"echo {WARNING_S} > {_FILE}")
        timer = threading.Timer(WARNING_S, host.power_off)
        timer.start()
        self._going.append(timer)
        return moment

    def gone(self) -> None:
        """Waits until those that had word are switched off."""
        while self._going:
            self._going.pop().join()
