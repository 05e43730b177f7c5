"""A load generator for the classify route: `python -m benchmarks.load --url …`.

Closed loop: each of `clients` sends its next tweet after the previous response. Open loop: tweets arrive at
`rate`, independent of the responses. Open-loop latencies count from the time at which a request was due, so a
server that stalls is charged for all requests that had to wait, sent or not.
"""

import asyncio
import itertools
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import aiohttp
import tyro

from benchmarks.report import OK, REFUSED, Report, Tally

TWEETS = ("what a lovely morning", "they should all go back", "rain again, so the match is off 😂")
BACK_OFF_S = 0.1
GRACE_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A load plan. Set exactly one of `clients` and `rate`, and `seconds`, `requests` or both."""

    url: str
    """URL of the classify route, e.g. http://127.0.0.1:8000/v1/classify."""
    clients: int | None = None
    """Closed loop: number of concurrent clients."""
    rate: float | None = None
    """Open loop: arrivals per second."""
    seconds: float | None = None
    requests: int | None = None
    poisson: bool = False
    """Open loop: Poisson arrivals instead of evenly spaced ones."""
    retries: int = 0
    """Retries after a failure or 429, after 0.1, 0.2, 0.4 … s or Retry-After, whichever is longer."""
    timeout_s: float = 30.0
    """Timeout of one attempt, in seconds."""
    tweets: Path | None = None
    """JSON file with a list of texts to send in turn; the default is three short texts."""
    skip: int = 0
    """Number of texts to leave out at first, because an earlier plan sent them."""
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.clients is None) == (self.rate is None):
            raise ValueError("the load plan needs either clients or rate: name one of them")
        if self.seconds is None and self.requests is None:
            raise ValueError("the load plan has no end: name seconds, requests or both")

    def __str__(self) -> str:
        if self.rate is None:
            return f"closed loop, {self.clients} clients"
        return f"open loop, {self.rate:.1f} requests/s{', Poisson' if self.poisson else ''}"

    def flags(self) -> list[str]:
        """This plan as command-line flags."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        named = {name: value for name, value in given.items() if value is not None and name != "poisson"}
        line = [text for name, value in named.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        return [*line, *(["--poisson"] if self.poisson else [])]


def arrivals(plan: Plan) -> Iterator[float]:
    """Seconds from the start at which requests are due in the open loop."""
    assert plan.rate is not None
    rng, due = random.Random(plan.seed), 0.0
    for number in itertools.count():
        if number == plan.requests or (plan.seconds is not None and due >= plan.seconds):
            return
        yield due
        due = due + rng.expovariate(plan.rate) if plan.poisson else (number + 1) / plan.rate


class Load:
    """One run of a plan."""

    def __init__(self, plan: Plan, tweets: Sequence[str], session: aiohttp.ClientSession) -> None:
        self.plan, self.session = plan, session
        self.tally = Tally()
        self.stopped = asyncio.Event()
        bodies = [json.dumps({"input": tweet}).encode() for tweet in tweets]
        self._bodies = itertools.islice(itertools.cycle(bodies), plan.skip, None)
        self._start = 0.0

    async def run(self) -> Report:
        began, self._start, cpu = time.time(), time.perf_counter(), time.process_time()
        await (self._closed() if self.plan.rate is None else self._open())
        return self.tally.report(
            str(self.plan), started=began, seconds=self._now(), cpu_s=time.process_time() - cpu
        )

    def _now(self) -> float:
        return time.perf_counter() - self._start

    async def _closed(self) -> None:
        left = itertools.count() if self.plan.requests is None else iter(range(self.plan.requests))

        async def client() -> None:
            end = self.plan.seconds
            while not self.stopped.is_set() and (end is None or self._now() < end):
                if next(left, None) is None:
                    return
                await self._request(self._now())

        assert self.plan.clients is not None
        await asyncio.gather(*(client() for _ in range(self.plan.clients)))

    async def _open(self) -> None:
        async with asyncio.TaskGroup() as group:
            for due in arrivals(self.plan):
                await asyncio.sleep(max(0.0, due - self._now()))  # also at 0, so that responses are processed
                if self.stopped.is_set():
                    return
                group.create_task(self._request(due))

    async def _request(self, due: float) -> None:
        body, tries = next(self._bodies), 0
        while True:
            status, version, wait_s = await self._try(body)
            self.tally.attempt(status)
            tries += 1
            final = status.isdigit() and int(status) < 500 and status != REFUSED
            if final or tries > self.plan.retries:
                self.tally.add(due, self._now(), status, tries=tries, version=version)
                return
            await asyncio.sleep(max(BACK_OFF_S * 2 ** (tries - 1), wait_s))

    async def _try(self, body: bytes) -> tuple[str, str | None, float]:
        """Send one attempt; returns status or exception, version, and Retry-After in seconds."""
        headers = {"Content-Type": "application/json"}
        try:
            async with self.session.post(self.plan.url, data=body, headers=headers) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__, None, 0.0
        wait = response.headers.get("Retry-After")
        status = str(response.status)
        if status == REFUSED and wait is None:
            status = "429 without Retry-After"
        version = _version(answer) if status == OK else None
        return status, version, float(wait) if wait and wait.isdigit() else 0.0


def _version(answer: bytes) -> str | None:
    data: Any = json.loads(answer)
    return data["data"][0].get("version") if isinstance(data, dict) and data.get("data") else None


async def drive(plan: Plan) -> Report:
    """Run a plan in this process. On SIGTERM it stops early and reports the requests so far."""
    tweets = json.loads(plan.tweets.read_text(encoding="utf-8")) if plan.tweets else TWEETS
    timeout, connector = aiohttp.ClientTimeout(plan.timeout_s), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        load = Load(plan, tweets, session)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, load.stopped.set)
        try:
            return await load.run()
        finally:
            loop.remove_signal_handler(signal.SIGTERM)


class LoadProcess:
    """A load generator in a separate process."""

    def __init__(self, plan: Plan) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tweetelm-load-")
        self._file = Path(self._folder.name) / "report.json"
        line = [sys.executable, "-m", "benchmarks.load", *plan.flags(), "--out", str(self._file)]
        self.popen = subprocess.Popen(
            line, cwd=Path(__file__).parents[1], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._within_s = plan.seconds + GRACE_S if plan.seconds else None

    def report(self) -> Report:
        """Wait until the process ends, and return its report."""
        _, errors = self.popen.communicate(timeout=self._within_s)
        if self.popen.returncode:
            raise RuntimeError(f"the load generator exited with status {self.popen.returncode}:\n{errors}")
        return Report.read(self._file)

    def stop(self) -> Report:
        """Stop the load now and return the report."""
        self.popen.terminate()
        return self.report()

    def close(self) -> None:
        """Kill the process if it still runs, and remove its files."""
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.communicate()
        self._folder.cleanup()


def run(plan: Plan, meanwhile: Callable[[], object] | None = None) -> Report:
    """Run a plan in a separate process, and call `meanwhile` in this process at the same time."""
    process = LoadProcess(plan)
    try:
        if meanwhile:
            meanwhile()
        return process.report()
    finally:
        process.close()


@dataclass(frozen=True, kw_only=True)
class Options(Plan):
    """A load generator for the classify route."""

    out: Path | None = None
    """File for the report as JSON, in addition to the printed summary."""


def main() -> None:
    """Command line."""
    options = tyro.cli(Options, prog="python -m benchmarks.load")
    report = asyncio.run(drive(options))
    print(
        f"{report.load}: {report.ok} ok, {report.refused} refused, {report.failed} failed, "
        f"{report.throughput:.1f} ok/s, p50 {1e3 * report.p50_s:.1f} ms, p99 {1e3 * report.p99_s:.1f} ms; "
        f"{report.statuses}"
    )
    if options.out:
        report.save(options.out)


if __name__ == "__main__":
    main()
