"""What a well-behaved caller notices while 200 hostile bodies are sent, behind each of the two proxies.

The caller asks for one verdict twice a second, first alone, then beside four senders of the bodies of
`benchmarks.hostile`, then beside 600 callers who ask nothing but GET /ready.
"""

import argparse
import asyncio
import http.client
import itertools
import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import processes
from benchmarks.hostile import Hostile, bodies
from benchmarks.published import publish as publish_model
from benchmarks.report import percentile
from benchmarks.service import Service, command
from benchmarks.timing import machine, publish

EVERY_S = 0.5
SENDERS = 4
PROBERS = 600
ANSWER_S = 120.0


def post(url: str, route: str, content_type: str, body: bytes) -> tuple[int, float]:
    """Status and seconds of one request on a connection of its own."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=ANSWER_S)
    began = time.perf_counter()
    try:
        connection.request("POST", route, body, {"Content-Type": content_type})
        response = connection.getresponse()
        response.read()
        return response.status, time.perf_counter() - began
    finally:
        connection.close()


@dataclass
class Caller:
    """Asks for one verdict every half second, whether or not the one before is answered."""

    url: str
    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    @contextmanager
    def asking(self) -> Iterator["Caller"]:
        stop = threading.Event()
        with ThreadPoolExecutor(64) as pool:
            clock = threading.Thread(target=self._tick, args=(pool, stop))
            clock.start()
            try:
                yield self
            finally:
                stop.set()
                clock.join()

    def _tick(self, pool: ThreadPoolExecutor, stop: threading.Event) -> None:
        while not stop.wait(EVERY_S):
            pool.submit(self._ask)

    def _ask(self) -> None:
        body = json.dumps({"input": "what a lovely morning"}).encode()
        try:
            status, took = post(self.url, "/v1/classify", "application/json", body)
        except OSError:
            self.failed += 1
            return
        self.failed += status != 200
        self.seconds.append(took)


class Memory:
    """The largest memory of all replicas and proxies together, looked at ten times a second; in bytes."""

    def __init__(self, service: Service) -> None:
        self._mark = service.mark
        self.peak = self.now()

    def now(self) -> int:
        roles = (processes.REPLICA, processes.PROXY, processes.HAPROXY)
        return sum(use.rss for name, use in processes.usage(self._mark).items() if name in roles)

    @contextmanager
    def watched(self) -> Iterator["Memory"]:
        stop = threading.Event()

        def look() -> None:
            while not stop.wait(0.1):
                self.peak = max(self.peak, self.now())

        watch = threading.Thread(target=look)
        watch.start()
        try:
            yield self
        finally:
            stop.set()
            watch.join()


def send_all(url: str, count: int) -> tuple[Counter[int], list[tuple[float, str]]]:
    """Statuses of so many hostile requests, and the slowest of them."""
    statuses: Counter[int] = Counter()
    times: list[tuple[float, str]] = []

    def send(one: Hostile) -> None:
        try:
            status, took = post(url, one.route, one.content_type, one.body)
        except OSError:
            status, took = 0, ANSWER_S
        statuses[status] += 1
        times.append((took, f"{one.kind} to {one.route}, {len(one.body):,} bytes: {status}"))

    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(send, itertools.islice(bodies(), count)))
    return statuses, sorted(times, reverse=True)[:5]


async def probe(url: str, seconds: float) -> Counter[str]:
    """What 600 callers of GET /ready are told, each asking again as soon as it is answered."""
    address, told, end = urlsplit(url), Counter[str](), time.monotonic() + seconds

    async def ask() -> None:
        while time.monotonic() < end:
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            told[answer[9:12].decode()] += 1
            writer.close()

    await asyncio.gather(*(ask() for _ in range(PROBERS)), return_exceptions=True)
    return told


def measure(registry: Path, *, haproxy: bool, count: int, calm_s: float) -> list[str]:
    """Rows of the table, of one proxy."""
    front = "HAProxy" if haproxy else "Ray Serve's proxy"
    with command(registry, haproxy=haproxy) as service:
        before = {process.pid for process in processes.by_role(service.mark)[processes.REPLICA]}
        calm, hostile, probed = Caller(service.url), Caller(service.url), Caller(service.url)
        with calm.asking():
            time.sleep(calm_s)
        idle = Memory(service).now()
        with hostile.asking(), Memory(service).watched() as memory:
            statuses, slowest = send_all(service.url, count)
        with probed.asking():
            told = asyncio.run(probe(service.url, calm_s))
        after = {process.pid for process in processes.by_role(service.mark)[processes.REPLICA]}
    print(f"{front}: hostile requests by status {dict(statuses)}, /ready {dict(told)}")
    print("\n".join(f"  {took:.2f} s  {what}" for took, what in slowest), flush=True)
    kept = "the same" if before == after else "RESTARTED"
    more = f"{memory.peak / idle:.2f} x idle ({idle / 1e6:.0f} MB); replica {kept}"
    refused = sum(n for status, n in statuses.items() if status >= 500 or not status)
    return [
        _row(front, "alone", calm, ""),
        _row(
            front, f"beside {count} hostile bodies", hostile, f"{refused} of these 5xx or lost; memory {more}"
        ),
        _row(front, f"beside {PROBERS} callers of /ready", probed, f"{told.total()} answers: {dict(told)}"),
    ]


def _row(front: str, what: str, caller: Caller, more: str) -> str:
    p50, p99 = (1e3 * percentile(caller.seconds, share) for share in (0.5, 0.99))
    worst = 1e3 * max(caller.seconds)
    cells = [
        front,
        what,
        len(caller.seconds),
        caller.failed,
        f"{p50:.0f}",
        f"{p99:.0f}",
        f"{worst:.0f}",
        more,
    ]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="hostile bodies")
    parser.add_argument("--calm", type=float, default=20.0, help="seconds of the rounds without them")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    lines = [
        machine(),
        "",
        "One replica of a small model; the caller, the hostile senders and the service share the machine. "
        "Times in milliseconds, of one caller who asks twice a second.",
        "",
        "| behind | the caller asks | answers | failed | p50 | p99 | worst | and |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        publish_model(Path(folder), seed=1)
        for haproxy in (True, False):
            lines += measure(Path(folder), haproxy=haproxy, count=arguments.count, calm_s=arguments.calm)
    publish("Hostile bodies", lines, arguments.out)


if __name__ == "__main__":
    main()
