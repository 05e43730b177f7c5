"""Clients with two retries lose no request when processes are killed or versions change."""

from collections.abc import Iterator
from functools import partial

import pytest

from benchmarks import processes
from benchmarks.faults import BAD, NORMAL_WITHIN_S, Outcome, Patient, patient, under_load

pytestmark = [pytest.mark.ray, pytest.mark.alone, pytest.mark.slow]
RATE = 20.0
# Draining time of a stopping replica behind HAProxy; the default of 30 s is too long for a test.


@pytest.fixture(scope="module")
def to(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    with patient(tmp_path_factory.mktemp("registry"), haproxy=True) as found:
        yield found


def assert_unnoticed(outcome: Outcome) -> None:
    report = outcome.report
    assert (report.failed, report.refused) == (0, 0), (report.statuses, report.failures)
    assert report.ok > 0
    assert max(outcome.until_normal()) < NORMAL_WITHIN_S


def test_killed_replicas_lose_no_request(to: Patient) -> None:
    assert_unnoticed(under_load(to, [partial(to.kill, processes.REPLICA)] * 3, rate=RATE))


def test_killed_controller_loses_no_request(to: Patient) -> None:
    assert_unnoticed(under_load(to, [partial(to.kill, processes.CONTROLLER)], rate=RATE))


def test_swap_loses_no_request(to: Patient) -> None:
    before = to.versions[to.served]
    outcome = under_load(to, [to.swap] * 3, rate=RATE)
    assert_unnoticed(outcome)
    after = to.versions[to.served]
    assert outcome.report.versions.keys() == {before, after}
    timeline = outcome.report.timeline
    assert timeline[0].versions == [before]
    assert timeline[-1].versions == [after]


def test_rolling_update_loses_no_request(to: Patient) -> None:
    assert_unnoticed(under_load(to, [to.roll], rate=RATE))


@pytest.mark.parametrize("fault", BAD)
def test_bad_version_keeps_the_last_good_one(to: Patient, fault: str) -> None:
    outcome = under_load(to, [partial(to.refuse, fault)], rate=RATE, calm_s=1.0)
    assert_unnoticed(outcome)
    assert outcome.report.versions.keys() == {to.versions[to.served]}
