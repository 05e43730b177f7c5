"""A share of cases with its uncertainty."""

import math

from tweetelm.evaluation.report.document import Interval

Z = 1.959963984540054  # the normal distribution's 97.5 % point


def wilson(hits: int, cases: int) -> Interval:
    """`hits` of `cases` with the 95 % score interval of Wilson (1927), which holds for few cases, too.

    Raises:
        ValueError: there are no cases, or more hits than cases.
    """
    if not 0 <= hits <= cases or cases == 0:
        raise ValueError(
            f"{hits} hits among {cases} cases; expected at least one case, and as many or fewer hits"
        )
    share, weight = hits / cases, Z * Z / cases
    center = (share + weight / 2) / (1 + weight)
    half = Z * math.sqrt(share * (1 - share) / cases + weight / (4 * cases)) / (1 + weight)
    return Interval(value=share, low=max(center - half, 0.0), high=min(center + half, 1.0))
