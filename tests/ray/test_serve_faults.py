"""Clients with two retries lose no request when processes are killed or versions change."""

from collections.abc import Iterator
from functools import partial

import pytest

from benchmarks import processes
from benchmarks.faults import BAD, RECOVERY_TIMEOUT_S, FaultTarget, Outcome, fault_target, under_load

pytestmark = [pytest.mark.ray, pytest.mark.alone, pytest.mark.slow]
RATE = 20.0
# Draining time of a stopping replica behind HAProxy; the default of 30 s is too long for a test.


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultTarget]:
    with fault_target(tmp_path_factory.mktemp("registry"), haproxy=True) as found:
        yield found


def assert_unnoticed(outcome: Outcome) -> None:
    report = outcome.report
    assert (report.failed, report.refused) == (0, 0), (report.statuses, report.failures)
    assert report.ok > 0
    assert max(outcome.recovery_times_s()) < RECOVERY_TIMEOUT_S


def test_killed_replicas_lose_no_request(target: FaultTarget) -> None:
    assert_unnoticed(under_load(target, [partial(target.kill, processes.REPLICA)] * 3, rate=RATE))


def test_killed_controller_loses_no_request(target: FaultTarget) -> None:
    assert_unnoticed(under_load(target, [partial(target.kill, processes.CONTROLLER)], rate=RATE))


def test_swap_loses_no_request(target: FaultTarget) -> None:
    before = target.versions[target.served]
    outcome = under_load(target, [target.swap_version] * 3, rate=RATE)
    assert_unnoticed(outcome)
    after = target.versions[target.served]
    assert outcome.report.versions.keys() == {before, after}
    timeline = outcome.report.timeline
    assert timeline[0].versions == [before]
    assert timeline[-1].versions == [after]


def test_rolling_update_loses_no_request(target: FaultTarget) -> None:
    assert_unnoticed(under_load(target, [target.update_rolling], rate=RATE))


@pytest.mark.parametrize("fault", BAD)
def test_bad_version_keeps_the_last_good_one(target: FaultTarget, fault: str) -> None:
    outcome = under_load(target, [partial(target.deploy_bad, fault)], rate=RATE, pause_s=1.0)
    assert_unnoticed(outcome)
    assert outcome.report.versions.keys() == {target.versions[target.served]}
