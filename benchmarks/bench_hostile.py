"""Latency for a well-behaved client during hostile traffic, behind each of the two proxies.

The client classifies one tweet twice a second: first without other traffic, then while four clients send 200
bodies of `benchmarks.hostile`, then while 600 clients poll GET /ready.
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

INTERVAL_S = 0.5
SENDERS = 4
PROBE_CLIENTS = 600
TIMEOUT_S = 120.0


def post(url: str, route: str, content_type: str, body: bytes) -> tuple[int, float]:
    """Status and seconds of one request on its own connection."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT_S)
    began = time.perf_counter()
    try:
        connection.request("POST", route, body, {"Content-Type": content_type})
        response = connection.getresponse()
        response.read()
        return response.status, time.perf_counter() - began
    finally:
        connection.close()


@dataclass
class SteadyClient:
    """Sends a request every 0.5 s, whether or not the previous one is answered."""

    url: str
    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    @contextmanager
    def running(self) -> Iterator["SteadyClient"]:
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
        while not stop.wait(INTERVAL_S):
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
    """Peak memory of all replicas and proxies together, in bytes, sampled ten times a second."""

    def __init__(self, service: Service) -> None:
        self._mark = service.mark
        self.peak = self.now()

    def now(self) -> int:
        roles = (processes.REPLICA, processes.PROXY, processes.HAPROXY)
        return sum(use.rss for name, use in processes.usage(self._mark).items() if name in roles)

    @contextmanager
    def watching(self) -> Iterator["Memory"]:
        stop = threading.Event()

        def sample() -> None:
            while not stop.wait(0.1):
                self.peak = max(self.peak, self.now())

        watch = threading.Thread(target=sample)
        watch.start()
        try:
            yield self
        finally:
            stop.set()
            watch.join()


def send_all(url: str, count: int) -> tuple[Counter[int], list[tuple[float, str]]]:
    """Send `count` hostile requests; returns the counts by status, and the five slowest requests."""
    statuses: Counter[int] = Counter()
    times: list[tuple[float, str]] = []

    def send(request: Hostile) -> None:
        try:
            status, took = post(url, request.route, request.content_type, request.body)
        except OSError:
            status, took = 0, TIMEOUT_S
        statuses[status] += 1
        times.append((took, f"{request.kind} to {request.route}, {len(request.body):,} bytes: {status}"))

    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(send, itertools.islice(bodies(), count)))
    return statuses, sorted(times, reverse=True)[:5]


async def probe(url: str, seconds: float) -> Counter[str]:
    """Statuses that 600 clients of GET /ready get; each sends its next request after each response."""
    address, statuses_of_ready, end = urlsplit(url), Counter[str](), time.monotonic() + seconds

    async def ask() -> None:
        while time.monotonic() < end:
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            statuses_of_ready[answer[9:12].decode()] += 1
            writer.close()

    await asyncio.gather(*(ask() for _ in range(PROBE_CLIENTS)), return_exceptions=True)
    return statuses_of_ready


def measure(registry: Path, *, haproxy: bool, count: int, baseline_s: float) -> list[str]:
    """The rows of the table for one proxy."""
    proxy = "HAProxy" if haproxy else "Ray Serve's proxy"
    with command(registry, haproxy=haproxy) as service:
        before = {process.pid for process in processes.by_role(service.mark)[processes.REPLICA]}
        baseline, hostile, probed = (
            SteadyClient(service.url),
            SteadyClient(service.url),
            SteadyClient(service.url),
        )
        with baseline.running():
            time.sleep(baseline_s)
        idle = Memory(service).now()
        with hostile.running(), Memory(service).watching() as memory:
            statuses, slowest = send_all(service.url, count)
        with probed.running():
            statuses_of_ready = asyncio.run(probe(service.url, baseline_s))
        after = {process.pid for process in processes.by_role(service.mark)[processes.REPLICA]}
    print(f"{proxy}: hostile requests by status {dict(statuses)}, /ready {dict(statuses_of_ready)}")
    print("\n".join(f"  {took:.2f} s  {what}" for took, what in slowest), flush=True)
    replica = "the same" if before == after else "RESTARTED"
    remarks = f"{memory.peak / idle:.2f} x idle ({idle / 1e6:.0f} MB); replica {replica}"
    refused = sum(n for status, n in statuses.items() if status >= 500 or not status)
    return [
        _row(proxy, "nothing else", baseline, ""),
        _row(
            proxy,
            f"{count} hostile bodies",
            hostile,
            f"{refused} of these 5xx or no response; memory {remarks}",
        ),
        _row(
            proxy,
            f"{PROBE_CLIENTS} clients of /ready",
            probed,
            f"{statuses_of_ready.total()} responses: {dict(statuses_of_ready)}",
        ),
    ]


def _row(proxy: str, traffic: str, client: SteadyClient, remarks: str) -> str:
    p50, p99 = (1e3 * percentile(client.seconds, share) for share in (0.5, 0.99))
    worst = 1e3 * max(client.seconds)
    cells = [
        proxy,
        traffic,
        len(client.seconds),
        client.failed,
        f"{p50:.0f}",
        f"{p99:.0f}",
        f"{worst:.0f}",
        remarks,
    ]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="number of hostile bodies")
    parser.add_argument(
        "--calm", type=float, default=20.0, help="seconds of each round without hostile bodies"
    )
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    lines = [
        machine(),
        "",
        "One replica of a small model; the client, the hostile clients and the service share the machine. "
        "Times in milliseconds, for a client that sends two requests a second.",
        "",
        "| proxy | other traffic | responses | failed | p50 | p99 | maximum | remarks |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        publish_model(Path(folder), seed=1)
        for haproxy in (True, False):
            lines += measure(Path(folder), haproxy=haproxy, count=arguments.count, baseline_s=arguments.calm)
    publish("Hostile requests", lines, arguments.out)


if __name__ == "__main__":
    main()
