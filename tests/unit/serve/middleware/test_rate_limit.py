import pytest

from serve.middleware import rate_limit
from serve.middleware.rate_limit import RateLimiter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(rate_limit.time, "monotonic", lambda: now[0])
    return now


def test_a_minutes_worth_at_once_and_then_as_much_as_time_allows(clock: list[float]) -> None:
    bucket = RateLimiter(60)
    assert bucket.wait_s("k", 60) == 0
    assert bucket.wait_s("k", 10) == 10
    clock[0] += 10
    assert bucket.wait_s("k", 10) == 0
    assert bucket.wait_s("k", 1) == 1


def test_over_ten_minutes_a_key_gets_its_rate_to_the_text(clock: list[float]) -> None:
    bucket = RateLimiter(120)
    let_in = 0
    for _ in range(6000):
        clock[0] += 0.1
        let_in += bucket.wait_s("k", 1) == 0
    assert 1200 <= let_in <= 1320  # ten minutes, and the minute that was saved up


def test_more_than_a_minutes_worth_is_let_in_once_the_bucket_is_full(clock: list[float]) -> None:
    bucket = RateLimiter(10)
    assert bucket.wait_s("k", 25) == 0
    assert bucket.wait_s("k", 1) == 96  # 15 owed, and one
    clock[0] += 96
    assert bucket.wait_s("k", 1) == 0


def test_no_rate_lets_everything_in() -> None:
    assert RateLimiter(0).wait_s("k", 10**9) == 0
