import pytest

from serve.inference.backlog import Backlog


def test_what_waits_is_told_in_seconds_of_the_speed_of_full_batches() -> None:
    backlog = Backlog(2000)
    backlog.tokens = 6000
    assert backlog.wait_s == 0
    backlog.measured(2000, 0.5)
    assert backlog.wait_s == pytest.approx(1.5)


def test_a_lone_tweet_that_takes_as_long_as_a_batch_says_nothing_of_speed() -> None:
    backlog = Backlog(2000)
    backlog.measured(2000, 0.5)
    backlog.tokens = 4000
    for _ in range(100):
        backlog.measured(30, 0.4)
    assert backlog.wait_s == pytest.approx(1.0)


def test_a_machine_that_slows_down_is_noticed_within_some_batches() -> None:
    backlog = Backlog(2000)
    for _ in range(50):
        backlog.measured(2000, 0.5)
    backlog.tokens = 2000
    for _ in range(10):
        backlog.measured(2000, 2.0)
    assert 1.5 < backlog.wait_s < 2.0
