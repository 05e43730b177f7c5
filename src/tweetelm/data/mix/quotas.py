"""Limits added rows by label, generator and account, and balances labels.

Called for training and for `generated-test`. Without a base, training is divided into train, validation and
test afterwards.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tweetelm.data.mix.filters import LeftOut
from tweetelm.data.mix.recipe import EVERY, Quotas
from tweetelm.data.mix.rows import Row

_FIELDS = ("label", "generator", "account")


def limit(rows: Sequence[Row], quotas: Quotas, seed: int, left_out: LeftOut) -> list[Row]:
    """The rows within the maxima, chosen at random, in their order. `account` limits authors only."""
    limits = {name: getattr(quotas, name) for name in _FIELDS if getattr(quotas, name)}
    counts: Counter[tuple[str, str]] = Counter()
    kept = set()
    for position in _random_order(rows, seed):
        row = rows[position]
        keys = [(name, str(getattr(row, name))) for name in limits if name != "account" or row.author]
        full = [key for key in keys if counts[key] >= _most(limits[key[0]], key[1])]
        if full:
            left_out[row.part, f"quota of its {full[0][0]}"] += 1
        else:
            counts.update(keys)
            kept.add(position)
    return [row for position, row in enumerate(rows) if position in kept]


def _most(limits: dict[str, int], name: str) -> float:
    return limits.get(name, limits.get(EVERY, float("inf")))


def balance(
    added: Sequence[Row], present: Sequence[Row], labels: Sequence[str], seed: int, left_out: LeftOut
) -> list[Row]:
    """Remove added rows of frequent labels until every label has as many rows as the rarest.

    Args:
        added: rows that may be removed.
        present: rows of the same split that may not.
        labels: all labels.
        seed: of the choice.
        left_out: counts what is removed.
    """
    fixed = Counter(row.label for row in present)
    whole = fixed + Counter(row.label for row in added)
    least = min(whole[label] for label in labels)
    room = {label: max(0, least - fixed[label]) for label in labels}
    kept = set()
    for position in _random_order(added, seed):
        row = added[position]
        if room[row.label]:
            room[row.label] -= 1
            kept.add(position)
        else:
            left_out[row.part, "balance of labels"] += 1
    return [row for position, row in enumerate(added) if position in kept]


def _random_order(rows: Sequence[Row], seed: int) -> list[int]:
    return [int(position) for position in np.random.default_rng([seed, 3]).permutation(len(rows))]
