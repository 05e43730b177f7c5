"""Intervals of shares, compared with the closed form of Wilson (1927)."""

import math

import pytest

from tweetelm.evaluation.intervals import wilson

Z = 1.959963984540054  # the normal distribution's 97.5 % point


@pytest.mark.parametrize(("hits", "cases"), [(0, 1), (1, 1), (0, 20), (7, 20), (20, 20), (333, 1000)])
def test_interval_follows_wilsons_formula(hits: int, cases: int) -> None:
    share, weight = hits / cases, Z * Z / cases
    center = (share + weight / 2) / (1 + weight)
    half = Z * math.sqrt(share * (1 - share) / cases + weight / (4 * cases)) / (1 + weight)
    ours = wilson(hits, cases)
    assert ours is not None
    assert ours.value == share
    assert (ours.low, ours.high) == pytest.approx((max(center - half, 0), min(center + half, 1)), abs=1e-12)


def test_share_of_no_cases_has_no_interval() -> None:
    assert wilson(0, 0) is None


@pytest.mark.parametrize(("hits", "cases"), [(3, 2), (-1, 2)])
def test_more_hits_than_cases_are_refused(hits: int, cases: int) -> None:
    with pytest.raises(ValueError, match="k"):
        wilson(hits, cases)
