"""Chooses the rows to learn from. Validation and test rows are never left out of anything."""

from collections.abc import Sequence

from datasets import Dataset, DatasetDict

from tweetelm.config.text_config import TextConfig
from tweetelm.text.normalize import normalize


def training_rows(
    dataset: DatasetDict, *, drop_overlap: bool, text: TextConfig
) -> tuple[Dataset, dict[str, int]]:
    """The training rows worth learning from, in their order, and how many were left out for which reason.

    Args:
        dataset: the splits as `load` gives them.
        drop_overlap: also leave out rows whose normalized text stands in another split.
        text: the normalization in force; under it a text is empty or equal to another.

    Returns:
        The rows, and the counts `empty` and `overlap` (0 if not asked for) of those left out.

    Raises:
        ValueError: nothing is left.
    """
    others = [name for name in dataset if name != "train"] if drop_overlap else []
    held_out = set(_normalized(dataset, others, text))
    kept: list[int] = []
    left_out = {"empty": 0, "overlap": 0}
    for row, words in enumerate(_normalized(dataset, ("train",), text)):
        if not words.strip():
            left_out["empty"] += 1
        elif words in held_out:
            left_out["overlap"] += 1
        else:
            kept.append(row)
    if not kept:
        raise ValueError(
            f"no training row is left: {left_out['empty']} are empty and {left_out['overlap']} stand in "
            "validation or test; look at the rows with `python -m tweetelm.data check`"
        )
    return dataset["train"].select(kept), left_out


def _normalized(dataset: DatasetDict, splits: Sequence[str], text: TextConfig) -> list[str]:
    return [normalize(words, text) for split in splits for words in dataset[split]["text"]]
