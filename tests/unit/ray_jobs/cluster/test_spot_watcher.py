"""The watcher beside Ray, without Ray: what it makes of the metadata service, of signals and of silence."""

import threading
import time
from collections.abc import Iterator

import pytest

from ray_jobs.cluster.spot_watcher import Arguments, watch
from ray_jobs.fault_tolerance.spot_notice import Metadata
from tests.support.metadata import Service, metadata


class Beside:
    """A node that lives for so many questions, or answers none, and refuses the first drains."""

    id, cluster = "01ab", "10.0.0.1:6379"

    def __init__(self, lives: float = float("inf"), refusals: int = 0) -> None:
        self.lives, self.refusals, self.drained = lives, refusals, list[float]()

    def alive(self) -> bool:
        self.lives -= 1
        return self.lives >= 0

    def drain(self, goes: float) -> str:
        self.refusals -= 1
        if self.refusals >= 0:
            return "Ray's control plane does not answer"
        self.drained.append(goes)
        return ""


@pytest.fixture
def service() -> Iterator[Service]:
    with metadata() as running:
        yield running


def quick(service: Service) -> Arguments:
    return Arguments(metadata=service.address, every=0.01)


def test_watcher_polls_until_ray_stops(service: Service) -> None:
    node = Beside(lives=5)
    assert watch(node, quick(service), threading.Event()) == 0  # type: ignore[arg-type]
    assert service.asked == ("/latest/meta-data/spot/instance-action",) * 5
    assert node.drained == []


def test_notice_drains_the_node_by_its_deadline(service: Service) -> None:
    node = Beside()
    moment = service.preempt(90)
    assert watch(node, quick(service), threading.Event()) == 0  # type: ignore[arg-type]
    assert node.drained == [moment]


def test_failed_drain_is_retried(service: Service) -> None:
    node = Beside(refusals=1)
    service.preempt(90)
    assert watch(node, quick(service), threading.Event()) == 0  # type: ignore[arg-type]
    assert len(node.drained) == 1


def test_signal_drains_the_node(service: Service) -> None:
    node, asked = Beside(), threading.Event()
    asked.set()
    before = time.time()
    assert watch(node, Arguments(metadata=service.address, left=45), asked) == 0  # type: ignore[arg-type]
    assert before + 45 <= node.drained[0] <= time.time() + 45


def test_metadata_errors_are_logged_once(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    asking = Metadata(service.address)
    service.broken = True
    assert [asking.goes_at() for _ in range(3)] == [None] * 3
    assert capsys.readouterr().out.count("does not answer; no spot notice is available") == 1
    service.broken = False
    moment = service.preempt(30)
    assert asking.goes_at() == moment


def test_no_metadata_service_means_no_notice() -> None:
    with metadata() as gone:
        address = gone.address
    assert Metadata(address).goes_at() is None


def test_expired_token_is_renewed(service: Service) -> None:
    asking = Metadata(service.address)
    assert asking.goes_at() is None
    service.token = "another"
    service.preempt(30)
    assert asking.goes_at() is None  # refused
    assert asking.goes_at() is not None


def test_unreadable_notice_counts_as_notice(service: Service) -> None:
    service.notice = "{}"
    before = time.time()
    moment = Metadata(service.address).goes_at()
    assert moment is not None
    assert before + 120 <= moment <= time.time() + 120


def test_silent_gcs_stops_the_watcher(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray_jobs.cluster.spot_watcher._SILENCE_S", 0.05)
    node = Beside()
    monkeypatch.setattr(node, "alive", lambda: None)
    assert watch(node, quick(service), threading.Event()) == 1  # type: ignore[arg-type]
