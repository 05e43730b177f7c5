import pytest

from serve.middleware import rate_limit
from serve.middleware.rate_limit import RateLimiter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(rate_limit.time, "monotonic", lambda: now[0])
    return now


def test_bucket_allows_a_burst_then_the_rate(clock: list[float]) -> None:
    bucket = RateLimiter(60)
    assert bucket.wait_s("k", 60) == 0
    assert bucket.wait_s("k", 10) == 10
    clock[0] += 10
    assert bucket.wait_s("k", 10) == 0
    assert bucket.wait_s("k", 1) == 1


def test_rate_is_exact_over_ten_minutes(clock: list[float]) -> None:
    bucket = RateLimiter(120)
    accepted = 0
    for _ in range(6000):
        clock[0] += 0.1
        accepted += bucket.wait_s("k", 1) == 0
    assert 1200 <= accepted <= 1320  # ten minutes of rate and a burst of one minute


def test_large_request_passes_with_a_full_bucket(clock: list[float]) -> None:
    bucket = RateLimiter(10)
    assert bucket.wait_s("k", 25) == 0
    assert bucket.wait_s("k", 1) == 96  # a debt of 15 texts, and one text
    clock[0] += 96
    assert bucket.wait_s("k", 1) == 0


def test_zero_rate_is_unlimited() -> None:
    assert RateLimiter(0).wait_s("k", 10**9) == 0
