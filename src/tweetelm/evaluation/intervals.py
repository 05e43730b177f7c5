"""A share of cases with its 95 % interval."""

from scipy.stats import binomtest

from tweetelm.evaluation.report.document import Interval


def wilson(hits: int, cases: int) -> Interval | None:
    """`hits` of `cases` with Wilson's 95 % score interval (1927), which holds for few cases too.

    None where there are no cases.

    Raises:
        ValueError: there are more hits than cases.
    """
    if cases == 0:
        return None
    found = binomtest(hits, cases).proportion_ci(method="wilson")
    return Interval(value=hits / cases, low=float(found.low), high=float(found.high))
