"""Held-out accounts or generators: their rows test a model on authors that it was not trained on.

`account:2/5` holds out the second of five groups of personas. A persona is a human and the accounts that
imitate them. `generator:gpt2` holds out all tweets of one kind of generator.
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
    """Move the rows of a rule out of training and validation.

    Args:
        dataset: the splits as `load` returns them.
        rule: `account:<fold>/<folds>` or `generator:<name>`; None returns the dataset unchanged.

    Returns:
        Training and validation without the rows of the rule, the unchanged test split, and a split
        `held-out` with the rows of the rule from all three splits.

    Raises:
        ValueError: the rule is malformed, matches no row or all rows, or needs a column that the task lacks.
    """
    if rule is None:
        return dataset
    check_rule(rule)
    column = "screen_name" if rule.startswith("account:") else "class_type"
    if column not in dataset["train"].column_names:
        raise ValueError(f"--data.hold-out {rule} needs the column {column}, which the task lacks")
    masks = {name: _mask(dataset, name, rule) for name in SPLITS}
    if any(not masks[name].any() or masks[name].all() for name in ("train", "validation")):
        generators = ", ".join(sorted(set(dataset["train"]["class_type"]) - {"human"}))
        raise ValueError(
            f"--data.hold-out {rule} matches no row or all rows of training or validation; expected a "
            f"generator ({generators}) or fewer folds"
        )
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
    """Split personas into `folds` groups of similar row counts.

    Assigns each persona, the largest first, to the smallest group.
    """
    sizes = Counter(persona(account) for account in accounts)
    groups: list[set[str]] = [set() for _ in range(folds)]
    rows = [0] * folds
    for name, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        smallest = rows.index(min(rows))
        groups[smallest].add(name)
        rows[smallest] += size
    return groups
