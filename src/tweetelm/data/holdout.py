"""Rows kept from a model altogether, to see what it makes of people or generators that it has never met.

`account:2/5` is the second of five groups of personas, a human and all who imitate them together;
`generator:gpt2` all that one kind of machine wrote.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from datasets import Dataset, DatasetDict, concatenate_datasets

from tweetelm.config.checks import check_rule
from tweetelm.data.load import SPLITS
from tweetelm.data.personas import persona

HELD_OUT = "held-out"


def hold_out(dataset: DatasetDict, rule: str | None) -> DatasetDict:
    """Training and validation without the rows that the rule names, test as it is, and those rows of all
    three as a split `held-out`; without a rule, the dataset as it is.

    Raises:
        ValueError: the rule is malformed, names nothing, leaves nothing, or the task has no such column.
    """
    if rule is None:
        return dataset
    check_rule(rule)
    column = "screen_name" if rule.startswith("account:") else "class_type"
    if column not in dataset["train"].column_names:
        raise ValueError(f"--data.hold-out {rule} needs the column {column}, which only deepfake has")
    masks = {name: _mask(dataset, name, rule) for name in SPLITS}
    if any(not masks[name].any() or masks[name].all() for name in ("train", "validation")):
        there = ", ".join(sorted(set(dataset["train"]["class_type"]) - {"human"}))
        raise ValueError(f"--data.hold-out {rule} leaves out no row, or all; the generators are {there}")
    kept = {name: dataset[name].select(np.flatnonzero(~masks[name])) for name in ("train", "validation")}
    held = concatenate_datasets([dataset[name].select(np.flatnonzero(masks[name])) for name in SPLITS])
    return DatasetDict({**kept, "test": dataset["test"], HELD_OUT: held})


def _mask(dataset: DatasetDict, name: str, rule: str) -> npt.NDArray[np.bool_]:
    split: Dataset = dataset[name]
    kind, _, what = rule.partition(":")
    if kind == "generator":
        return np.asarray([value == what and value != "human" for value in split["class_type"]], dtype=bool)
    fold, folds = map(int, what.split("/"))
    group = persona_folds(dataset["train"]["screen_name"], folds)[fold - 1]
    return np.asarray([persona(account) in group for account in split["screen_name"]], dtype=bool)


def persona_folds(accounts: Sequence[str], folds: int) -> list[set[str]]:
    """Personas dealt into groups of about as many rows: the largest first, each to the smallest group."""
    sizes = Counter(persona(account) for account in accounts)
    groups: list[set[str]] = [set() for _ in range(folds)]
    rows = [0] * folds
    for name, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        smallest = rows.index(min(rows))
        groups[smallest].add(name)
        rows[smallest] += size
    return groups
