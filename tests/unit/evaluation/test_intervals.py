import pytest
from scipy.stats import binomtest

from tweetelm.evaluation.intervals import wilson


@pytest.mark.parametrize(("hits", "cases"), [(0, 1), (1, 1), (0, 20), (7, 20), (20, 20), (333, 1000)])
def test_the_interval_is_scipys(hits: int, cases: int) -> None:
    expected = binomtest(hits, cases).proportion_ci(method="wilson")
    ours = wilson(hits, cases)
    assert ours.value == hits / cases
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("hits", "cases"), [(0, 0), (3, 2), (-1, 2)])
def test_a_share_of_nothing_is_refused(hits: int, cases: int) -> None:
    with pytest.raises(ValueError, match=f"{hits} hits among {cases} cases"):
        wilson(hits, cases)
