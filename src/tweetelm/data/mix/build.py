"""Mixes the rows of a recipe: filters, divides, matches, limits. Reads files, and writes none."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tweetelm.data.duplicates import near_duplicate_key
from tweetelm.data.load import SPLITS
from tweetelm.data.mix.base import Base, read_base
from tweetelm.data.mix.filters import LeftOut, apart_from_base, check_prompts, usable
from tweetelm.data.mix.matching import CueMatch, match_cues, measure
from tweetelm.data.mix.parts import PartRows, read_part
from tweetelm.data.mix.quotas import balance, limit
from tweetelm.data.mix.recipe import GENERATED_TEST, TRAIN, Recipe
from tweetelm.data.mix.rows import Row
from tweetelm.data.mix.sides import divide_sides, units
from tweetelm.data.splits import divide

NO_COUNTERPART = "no human row with the same cues"


@dataclass(kw_only=True)
class Mix:
    """A mixed dataset before it is written.

    Attributes:
        recipe: what was asked for.
        base: the base.
        parts: the parts as read.
        splits: rows by split: train, validation, test, and `generated-test` if it has rows.
        left_out: number of added rows that are in no split, by part and reason.
        cues: the measured match of cues by split.
        remarks: what the reader should know, a sentence each.
    """

    recipe: Recipe
    base: Base
    parts: list[PartRows]
    splits: dict[str, list[Row]] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=Counter)
    cues: dict[str, CueMatch] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Matched:
    """The added rows of a side after matching, with what is needed to measure the match."""

    added: list[Row]
    machine: list[Row]
    human: list[Row]
    pairs: list[tuple[Row, Row]]


def mix(recipe: Recipe, root: str | Path) -> Mix:
    """Mix the rows of a recipe.

    Args:
        recipe: the recipe.
        root: folder or URL of the base's data, as for `load`.

    Raises:
        FileNotFoundError: a part's or the base's file does not exist.
        ValueError: a file is malformed, a part was generated from other data than the base's, or a part or a
            split has no rows left.
    """
    parts = [read_part(part, recipe.place, recipe.labels) for part in recipe.parts]
    made = Mix(recipe=recipe, base=read_base(recipe, root), parts=parts)
    check_prompts(parts, made.base)
    rows = usable((row for part in parts for row in part.rows), made.base, made.left_out)
    shares = {part.name: part.share for part in recipe.parts}
    sides = apart_from_base(*divide_sides(rows, shares, recipe.seed, made.left_out), made.base, made.left_out)
    train = _settle(made, TRAIN, sides[0], made.base.splits["train"])
    test = _settle(made, GENERATED_TEST, sides[1], _test_humans(made, sides[1]))
    _check_parts(made, [*train, *test])
    made.splits = _divided(made, train) if made.base.task is None else _with_base(made, train)
    if test:
        made.splits[GENERATED_TEST] = test
    return made


def _settle(made: Mix, split: str, added: list[Row], present: Sequence[Row]) -> list[Row]:
    """The rows of a side: matched, within the quotas, balanced. For a test, with the base's counterparts.

    `present` are rows of the base that human counterparts are chosen from, besides the added ones.
    """
    recipe = made.recipe
    matched = _matched(made, split, added, present)
    kept = limit(matched.added, recipe.quotas, recipe.seed, made.left_out)
    fills = split == GENERATED_TEST and bool(present)
    if recipe.quotas.balance and kept and not fills:
        kept = balance(kept, present if split == TRAIN else (), recipe.labels, recipe.seed, made.left_out)
    if not kept:
        return []
    pairs = _remaining(matched, kept)
    if matched.machine and matched.human:
        made.cues[split] = _measured(made, matched, kept, pairs)
    return [*kept, *(human for _, human in pairs)] if fills else kept


def _matched(made: Mix, split: str, added: list[Row], present: Sequence[Row]) -> _Matched:
    cues = made.recipe.cues
    machine = [row for row in added if cues.human is not None and row.label != cues.human]
    human = [row for row in (*present, *added) if row.label == cues.human]
    if machine and not human:
        made.remarks.append(
            f"{split} has no human rows: the cues of its machine rows are neither matched nor measured"
        )
    if not machine or not human:
        return _Matched(added=added, machine=machine, human=human, pairs=[])
    seed = made.recipe.seed
    if not cues.match:  # as many human rows, at random
        order = np.random.default_rng([seed, 4]).permutation(len(human))
        pairs = [(row, human[position]) for row, position in zip(machine, order, strict=False)]
        return _Matched(added=added, machine=machine, human=human, pairs=pairs)
    texts = [[row.text for row in rows] for rows in (machine, human)]
    found = match_cues(texts[0], texts[1], goal=cues.goal, seed=seed)
    pairs = [(machine[row], human[partner]) for row, partner in found]
    gone = {id(row) for row in machine} - {id(row) for row, _ in pairs}
    made.left_out.update((row.part, NO_COUNTERPART) for row in machine if id(row) in gone)
    kept = [row for row in added if id(row) not in gone]
    return _Matched(added=kept, machine=machine, human=human, pairs=pairs)


def _remaining(matched: _Matched, kept: Sequence[Row]) -> list[tuple[Row, Row]]:
    """The pairs of which quotas and balance removed no row. They remove added rows only."""
    gone = {id(row) for row in matched.added} - {id(row) for row in kept}
    return [pair for pair in matched.pairs if gone.isdisjoint(map(id, pair))]


def _measured(
    made: Mix, matched: _Matched, kept: Sequence[Row], pairs: Sequence[tuple[Row, Row]]
) -> CueMatch:
    machine = {id(row): position for position, row in enumerate(matched.machine)}
    human = {id(row): position for position, row in enumerate(matched.human)}
    return measure(
        [row.text for row in matched.machine],
        [row.text for row in matched.human],
        [machine[id(row)] for row in kept if id(row) in machine],
        [human[id(partner)] for _, partner in pairs],
        goal=made.recipe.cues.goal,
        seed=made.recipe.seed,
        matched=made.recipe.cues.match,
    )


def _test_humans(made: Mix, test: Sequence[Row]) -> list[Row]:
    """Human rows of the base's test, for a generated test without any; none with a near-copy in training."""
    human = made.recipe.cues.human
    if not test or human is None or any(row.label == human for row in test):
        return []
    known = made.base.near_copies
    found: dict[str, Row] = {}
    for row in made.base.splits["test"]:
        key = near_duplicate_key(row.text)
        seen = row.text in known["train"] or row.text in known["validation"]
        if row.label == human and key and not seen:
            found.setdefault(key, row)
    return list(found.values())


def _with_base(made: Mix, train: list[Row]) -> dict[str, list[Row]]:
    return {**made.base.splits, "train": [*made.base.splits["train"], *train]}


def _divided(made: Mix, rows: list[Row]) -> dict[str, list[Row]]:
    """Without a base: all rows by the recipe's rule. No person and no prompt is in two splits."""
    labels = [made.recipe.labels.index(row.label) for row in rows]
    groups = [str(unit) for unit in units(rows)]
    split = divide([row.text for row in rows], labels, groups, made.recipe.split, test=True)
    found = {
        name: [row for row, number in zip(rows, split, strict=True) if number == position]
        for position, name in enumerate(SPLITS)
    }
    if empty := [name for name, chosen in found.items() if not chosen]:
        raise ValueError(
            f"there is no row for {empty[0]}: rows of one author, imitated person or prompt stay together, "
            f"and there are {len(set(groups))} such groups; add rows of other authors, or change [split]"
        )
    return found


def _check_parts(made: Mix, rows: Sequence[Row]) -> None:
    """Raise a ValueError if none of the rows is of some part."""
    present = {row.part for row in rows}
    for part in made.parts:
        if part.part.name not in present:
            counts = {why: count for (name, why), count in made.left_out.items() if name == part.part.name}
            frequent = Counter(counts).most_common()
            raise ValueError(
                f"part {part.part.name} has no rows left of {len(part.rows)}: "
                f"{', '.join(f'{count} {why}' for why, count in frequent)}; {_advice(frequent[0][0])}"
            )


def _advice(reason: str) -> str:
    if reason == NO_COUNTERPART:
        return "generate rows that look like human ones, or keep them all with `[cues] match = false`"
    if reason.startswith(("quota", "balance")):
        return "raise the number in [quotas]"
    return "remove the part from the recipe, or give it other rows"
