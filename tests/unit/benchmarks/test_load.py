"""The load generator against a small server whose answers follow a rule."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks.load import Plan, arrivals, drive, run
from benchmarks.report import Report, Tally, percentile

Handler = Callable[[web.Request], Awaitable[web.Response]]


def counted(rule: Callable[[int], web.Response]) -> Handler:
    """Answers request number 1, 2, 3 … with `rule(number)`."""
    number = 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal number
        number += 1
        return rule(number)

    return handler


def good(version: str = "v1") -> web.Response:
    return web.json_response({"data": [{"version": version}]})


def refusal(after_s: str | None = "0") -> web.Response:
    return web.Response(status=429, headers={"Retry-After": after_s} if after_s else {})


def observe(handler: Handler, **plan: object) -> Report:
    """The report of a plan against a server with this handler."""

    async def session() -> Report:
        app = web.Application()
        app.router.add_post("/", handler)
        async with TestServer(app) as server:
            return await drive(Plan(url=str(server.make_url("/")), **plan))  # type: ignore[arg-type]

    return asyncio.run(session())


def test_every_request_is_counted_once_by_its_answer() -> None:
    rule = counted(lambda n: refusal() if n % 10 == 0 else web.Response(status=500) if n == 15 else good())
    report = observe(rule, clients=4, requests=100)
    assert (report.requests, report.ok, report.refused, report.failed) == (100, 89, 10, 1)
    assert report.statuses == {"200": 89, "429": 10, "500": 1}
    assert [status for _, _, status in report.failures] == ["500"]


def test_rejection_without_retry_after_is_a_failure() -> None:
    report = observe(counted(lambda _: refusal(None)), clients=1, requests=3)
    assert (report.refused, report.failed) == (0, 3)
    assert report.statuses == {"429 without Retry-After": 3}


def test_retries_are_counted() -> None:
    # One caller, so that no second try can be a tenth request too.
    report = observe(
        counted(lambda n: refusal() if n % 10 == 0 else good()), clients=1, requests=50, retries=2
    )
    assert (report.ok, report.refused, report.failed) == (50, 0, 0)
    assert report.retried == report.statuses["429"] == 5


def test_retry_waits_for_retry_after() -> None:
    report = observe(counted(lambda n: refusal("1") if n == 1 else good()), clients=1, requests=1, retries=1)
    assert report.ok == 1
    assert report.max_s >= 1.0


def test_client_errors_are_not_retried() -> None:
    report = observe(counted(lambda _: web.Response(status=400)), clients=1, requests=1, retries=2)
    assert report.statuses == {"400": 1}


@pytest.mark.slow
def test_open_loop_counts_a_stall_for_all_due_requests() -> None:
    stalled = False

    async def handler(_: web.Request) -> web.Response:
        nonlocal stalled
        if not stalled:
            stalled = True
            time.sleep(0.2)  # stops the generator too, which lives in the same process: it cannot even send
        return good()

    report = observe(handler, rate=400, requests=1000)
    assert report.failed == 0
    # 80 of the 1,000 were due during the stall; the slowest 1 % are among them and waited for most of it.
    assert report.p99_s >= 0.15
    assert report.max_s >= 0.2


def test_arrivals_never_wait_for_answers() -> None:
    arrived, all_are_there = 0, asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        nonlocal arrived
        arrived += 1
        if arrived == 30:
            all_are_there.set()
        await all_are_there.wait()
        return good()

    report = observe(handler, rate=100, seconds=0.3)
    assert report.ok == 30


def test_open_loop_offers_the_given_rate() -> None:
    even = list(arrivals(Plan(url="", rate=50, seconds=2)))
    assert even == pytest.approx([number / 50 for number in range(100)])
    chance = list(arrivals(Plan(url="", rate=50, seconds=200, poisson=True)))
    assert len(chance) == pytest.approx(10_000, rel=0.05)


def test_missing_server_is_a_named_failure() -> None:
    report = asyncio.run(drive(Plan(url="http://127.0.0.1:9/", clients=1, requests=2)))
    assert report.failed == 2
    assert set(report.statuses) == {aiohttp.ClientConnectorError.__name__}


def test_slow_response_is_a_timeout_failure() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(1)
        return good()

    report = observe(handler, clients=1, requests=1, timeout_s=0.1)
    assert (report.ok, report.failed) == (0, 1)


def test_the_timeline_shows_which_versions_answered_when() -> None:
    tally = Tally()
    tally.add(0.5, 0.6, "200", tries=1, version="a")
    tally.add(2.1, 2.4, "200", tries=2, version="b")
    tally.add(2.2, 2.3, "500", tries=3, version=None)
    report = tally.report("", started=1000.0, seconds=3.0, cpu_s=0.0)
    assert [second.versions for second in report.timeline] == [["a"], [], ["b"]]
    assert [second.p99_s for second in report.timeline] == [pytest.approx(0.1), None, pytest.approx(0.3)]
    assert report.window(1002.0, 1003.0) == [report.timeline[2]]
    assert report.failures == [(1002.2, 1002.3, "500")]
    assert report.throughput == pytest.approx(2 / 3)


def test_percentiles_are_observed_values() -> None:
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([3.0], 0.5) == 3.0


def test_separate_process_gives_the_same_report(tmp_path: Path) -> None:
    report = run(Plan(url="http://127.0.0.1:9/", rate=20, requests=5, retries=1))
    assert (report.requests, report.failed, report.retried) == (5, 5, 5)
    report.save(tmp_path / "report.json")
    assert Report.read(tmp_path / "report.json") == report


@pytest.mark.parametrize("wrong", [{}, {"clients": 1, "rate": 1.0, "seconds": 1.0}, {"clients": 1}])
def test_invalid_load_plan_is_rejected(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="name"):
        Plan(url="", **wrong)  # type: ignore[arg-type]
