"""Divides rows without a published split into training, validation and test rows."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tweetelm.data.duplicates import near_duplicate_key
from tweetelm.tasks import SplitRule

Ints = npt.NDArray[np.int64]


def divide(
    texts: Sequence[str], labels: Sequence[int], groups: Sequence[str] | None, rule: SplitRule, *, test: bool
) -> Ints:
    """Assign each row to a split: 0 train, 1 validation, 2 test.

    Near-duplicates (tweets of the same words, retweets) and rows of one group stay in one split. Each
    label has nearly the same share of the rows in every split, as far as large groups allow it. The result
    depends on the rows, their order and the seed only.

    Args:
        texts: N tweets.
        labels: N label ids.
        groups: N group values, such as authors; None without groups.
        rule: the shares and the seed.
        test: whether to divide off a test split; else validation only.

    Returns:
        (N,) split ids.
    """
    units = _units(texts, groups)
    shares = np.asarray([0.0, rule.validation, rule.test if test else 0.0])
    shares[0] = 1 - shares.sum()
    return _assign(units, np.asarray(labels, dtype=np.int64), shares, rule.seed)


def _units(texts: Sequence[str], groups: Sequence[str] | None) -> Ints:
    """Number the sets of rows (N,) that must stay together."""
    rows = len(texts)
    keys: dict[tuple[str, str], int] = {}
    edges: list[tuple[int, int]] = []
    for row, text in enumerate(texts):
        own = [("words", near_duplicate_key(text))] + ([("group", groups[row])] if groups is not None else [])
        edges += [(row, keys.setdefault(key, rows + len(keys))) for key in own if key[1]]
    size = rows + len(keys)
    ends = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends), dtype=bool), (ends[:, 0], ends[:, 1])), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][:rows], dtype=np.int64)


def _assign(units: Ints, labels: Ints, shares: npt.NDArray[np.float64], seed: int) -> Ints:
    """Give each unit, the largest first, to the split that lacks most rows of the unit's labels."""
    _, unit_of = np.unique(units, return_inverse=True)
    sizes = np.bincount(unit_of)
    order = np.argsort(unit_of, kind="stable")
    members = np.split(order, np.cumsum(sizes)[:-1])
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    largest_first = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    classes = int(labels.max(initial=0)) + 1
    lacking = shares[:, None] * np.bincount(labels, minlength=classes)[None, :]  # (3, K)
    found = np.zeros(len(labels), dtype=np.int64)
    possible = np.flatnonzero(shares > 0)
    for unit in largest_first:
        counts = np.bincount(labels[members[unit]], minlength=classes)
        chosen = possible[int(((lacking[possible] / shares[possible, None]) @ counts).argmax())]
        found[members[unit]] = chosen
        lacking[chosen] -= counts
    return found
