"""Drops empty and overlapping training rows. Validation and test rows are never dropped."""

from collections.abc import Sequence

from datasets import Dataset, DatasetDict

from tweetelm.config.text_config import TextConfig
from tweetelm.text.normalize import normalize


def training_rows(
    dataset: DatasetDict, *, drop_overlap: bool, text: TextConfig
) -> tuple[Dataset, dict[str, int]]:
    """Drop training rows that are empty or that also occur in another split. Keeps the order.

    Args:
        dataset: the splits as `load` returns them.
        drop_overlap: also drop rows whose normalized text occurs in another split.
        text: normalization settings; texts are compared after normalization.

    Returns:
        The remaining rows, and the number of dropped rows by reason: `empty` and `overlap` (0 without
        `drop_overlap`).

    Raises:
        ValueError: no row remains.
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
            f"no training row is left: {left_out['empty']} are empty and {left_out['overlap']} also occur in "
            "validation or test; check the data with `python -m tweetelm.data check`"
        )
    return dataset["train"].select(kept), left_out


def _normalized(dataset: DatasetDict, splits: Sequence[str], text: TextConfig) -> list[str]:
    return [normalize(words, text) for split in splits for words in dataset[split]["text"]]
