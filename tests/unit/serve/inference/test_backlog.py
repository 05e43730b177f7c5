import pytest

from serve.inference.batcher import Backlog


def test_wait_is_estimated_from_full_batches() -> None:
    backlog = Backlog(2000)
    backlog.tokens = 6000
    assert backlog.wait_s == 0
    backlog.measured(2000, 0.5)
    assert backlog.wait_s == pytest.approx(1.5)


def test_small_batches_do_not_change_the_estimate() -> None:
    backlog = Backlog(2000)
    backlog.measured(2000, 0.5)
    backlog.tokens = 4000
    for _ in range(100):
        backlog.measured(30, 0.4)
    assert backlog.wait_s == pytest.approx(1.0)


def test_estimate_adapts_to_a_slower_machine() -> None:
    backlog = Backlog(2000)
    for _ in range(50):
        backlog.measured(2000, 0.5)
    backlog.tokens = 2000
    for _ in range(10):
        backlog.measured(2000, 2.0)
    assert 1.5 < backlog.wait_s < 2.0
