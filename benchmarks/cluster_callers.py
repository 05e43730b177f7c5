"""Clients that send requests to a cluster's endpoints at a constant rate during a fault."""

import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.lab.desk import Desk
from tests.lab.hosts import Host

TRIES = 3
BACK_OFF_S = 0.1


@dataclass
class Clients:
    """Send `rate` requests per second from `start` to `stop`, to each of `hosts` in turn.

    A failed request is retried twice.
    """

    desk: Desk
    hosts: Sequence[Host]
    rate: float = 10.0
    asked: list[tuple[float, float, bool]] = field(default_factory=list)
    """(time at which it was due, seconds until the last attempt ended, whether it was answered)"""

    def start(self) -> None:
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(64)
        self._clock = threading.Thread(target=self._keep_asking)
        self._clock.start()

    def stop(self) -> None:
        self._stopping.set()
        self._clock.join()
        self._pool.shutdown()

    def _keep_asking(self) -> None:
        begun = time.monotonic()
        for number, host in enumerate(itertools.cycle(self.hosts)):
            if self._stopping.wait(max(0.0, begun + number / self.rate - time.monotonic())):
                return
            self._pool.submit(self._ask, host, time.monotonic())

    def _ask(self, host: Host, due: float) -> None:
        answered = False
        for number in range(TRIES):
            answered = self.desk.answers(host)
            if answered:
                break
            time.sleep(BACK_OFF_S * 2**number)
        self.asked.append((due, time.monotonic() - due, answered))

    def outage(self, since: float) -> str:
        """Failed requests and the slowest request since that time, in words."""
        seen = [one for one in sorted(self.asked) if one[0] >= since]
        lost = [due - since for due, _, answered in seen if not answered]
        when = f", between {lost[0]:.0f} and {lost[-1]:.0f} s after the fault" if lost else ""
        slowest = max(seconds for _, seconds, _ in seen)
        return f"{len(lost)} of {len(seen)} requests failed{when}; the slowest took {slowest:.1f} s"
