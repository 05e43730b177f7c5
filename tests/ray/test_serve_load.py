"""The service under open-loop load: requests arrive independently of the responses."""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import processes
from benchmarks.load import run
from benchmarks.stress import OVERLOAD, STEADY, Stress, only_refusals, stressed
from tweetelm.cli import allocator

pytestmark = [pytest.mark.ray, pytest.mark.alone, pytest.mark.slow]


@pytest.fixture(scope="module")
def stress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stress]:
    with stressed(tmp_path_factory.mktemp("stress"), seconds=8.0) as (found, _):
        yield found


@pytest.mark.skipif(not allocator.library(), reason="Ray's wheel has no jemalloc on this system")
def test_replicas_keep_freed_memory(stress: Stress) -> None:
    (replica,) = processes.by_role(stress.service.mark)[processes.REPLICA]
    assert "libjemalloc" in Path(f"/proc/{replica.pid}/maps").read_text()


def test_no_request_fails_at_70_percent_load(stress: Stress) -> None:
    # A machine that is temporarily half as fast as during calibration must not fail the test.
    report = run(dataclasses.replace(stress.plan(STEADY, 20.0), retries=6))
    assert report.ok == report.requests > 0, (report.statuses, report.failures[:5])


def test_overload_gives_only_200_or_retry_after(stress: Stress) -> None:
    report = run(stress.plan(OVERLOAD, 20.0))
    assert only_refusals(report), report.statuses
    assert report.refused > 0
    # Rejections must not starve accepted requests; benchmarks/ measures the throughput.
    assert report.throughput > 0.2 * stress.capacity
    after = run(stress.plan(STEADY / 2, 5.0))
    assert after.ok == after.requests, after.statuses


def test_overload_survives_a_paused_replica(stress: Stress) -> None:
    (replica,) = processes.by_role(stress.service.mark)[processes.REPLICA]

    def pause() -> None:
        time.sleep(3.0)
        replica.suspend()
        time.sleep(2500 / (OVERLOAD * stress.capacity))  # more requests than the replica's listen queue holds
        replica.resume()

    report = run(stress.plan(OVERLOAD, 12.0), pause)
    assert only_refusals(report), report.statuses
    # Requests do not queue in front of the replica.
    assert sum(second.refused for second in report.timeline[-5:]) > 0, report.timeline
