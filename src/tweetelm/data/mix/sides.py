"""Divides added rows between training and `generated-test`, so that nobody and no prompt is in both."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tweetelm.data.mix.filters import LeftOut
from tweetelm.data.mix.rows import Row
from tweetelm.data.personas import persona

CROSSES = "author, imitated person or prompt is in the other split"


def units(rows: Sequence[Row]) -> npt.NDArray[np.int64]:
    """Number the sets of rows (N,) that must stay in one split: of one person, prompt or source.

    A person is an author or an imitated account. A human and accounts known to imitate them are one person.
    """
    names: dict[tuple[str, str], int] = {}
    edges = [
        (position, names.setdefault(key, len(rows) + len(names)))
        for position, row in enumerate(rows)
        for key in _keys(row)
    ]
    size = len(rows) + len(names)
    ends = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends), dtype=bool), (ends[:, 0], ends[:, 1])), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][: len(rows)], dtype=np.int64)


def _keys(row: Row) -> Iterator[tuple[str, str]]:
    """What a row shares with others. A generator's name instead of an author is no author."""
    for account in (row.account, row.imitated):
        if account and account != row.generator:
            yield "person", persona(account).casefold()
    if row.prompt_id:
        yield "prompt", row.prompt_id
    for source in row.sources.split():
        yield "source", source


def divide_sides(
    rows: Sequence[Row], shares: Mapping[str, float], seed: int, left_out: LeftOut
) -> tuple[list[Row], list[Row]]:
    """The rows for training and for `generated-test`.

    A unit that only one side may have goes there. Any other goes to the side that lacks more rows; those of
    its rows that may not be there are left out.

    Args:
        rows: N added rows.
        shares: by part, the share for `generated-test`: 0 and 1 fix the side.
        seed: of the order in which units are taken.
        left_out: counts rows that are left out.
    """
    share = np.asarray([shares[row.part] for row in rows])
    of_unit = np.unique(units(rows), return_inverse=True)[1]
    members = [np.flatnonzero(of_unit == unit) for unit in range(int(of_unit.max(initial=-1)) + 1)]
    to_test = _chosen([share[each] for each in members], seed)
    sides: tuple[list[Row], list[Row]] = ([], [])
    for position, row in enumerate(rows):
        test = bool(to_test[of_unit[position]])
        if share[position] == (0.0 if test else 1.0):
            left_out[row.part, CROSSES] += 1
        else:
            sides[test].append(row)
    return sides


def _chosen(shares: Sequence[npt.NDArray[np.float64]], seed: int) -> npt.NDArray[np.bool_]:
    """Which units (U,) go to the test. `shares` are those of each unit's rows."""
    wanted = sum(float(each.sum()) for each in shares)
    lacking = [sum(map(len, shares)) - wanted, wanted]
    whole = tuple(lacking)
    chosen = np.zeros(len(shares), dtype=bool)
    free: list[int] = []
    for unit in _largest_first(shares, seed):
        gains = ((shares[unit] < 1).sum(), (shares[unit] > 0).sum())
        if gains[0] and gains[1]:
            fits = gains[1] <= lacking[1] and lacking[1] / whole[1] >= lacking[0] / (whole[0] or 1)
            chosen[unit] = fits
            free.append(unit)
        else:
            chosen[unit] = gains[1] > 0
        side = int(chosen[unit])
        lacking[side] -= float(gains[side])
    if wanted and not chosen.any() and len(free) > 1:
        chosen[free[-1]] = True  # the smallest
    return chosen


def _largest_first(shares: Sequence[npt.NDArray[np.float64]], seed: int) -> list[int]:
    sizes = np.asarray([len(each) for each in shares], dtype=np.int64)
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    return [int(unit) for unit in shuffled[np.argsort(-sizes[shuffled], kind="stable")]]
