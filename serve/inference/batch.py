"""A batch of texts from many requests, for one or several models. A text that makes the model raise fails
alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from tweetelm.encoding import Encoded
    from tweetelm.predictor import Prediction, Predictor

Outcome: TypeAlias = "Prediction | Exception"  # the result for one text


@dataclass(frozen=True, eq=False)
class Item:
    """One encoded text and the model that encoded it: after a swap, queued texts still run on the old
    model."""

    model: "Predictor"
    encoded: "Encoded"

    @property
    def tokens(self) -> int:
        return len(self.encoded.ids)


def token_count(items: Sequence[Item]) -> int:
    """Return the size of a batch in tokens: the sum of its texts, since rows are not padded."""
    return sum(item.tokens for item in items)


def classify_each(items: Sequence[Item]) -> list[Outcome]:
    """Classify a batch; returns, per item and in order, its prediction or the exception that it raises
    alone."""
    by_model: dict[int, list[int]] = {}
    for index, item in enumerate(items):
        by_model.setdefault(id(item.model), []).append(index)
    outcomes: dict[int, Outcome] = {}
    for group in by_model.values():
        encoded = [items[index].encoded for index in group]
        outcomes |= zip(group, _isolated(items[group[0]].model, encoded), strict=True)
    return [outcomes[index] for index in range(len(items))]


def _isolated(model: "Predictor", encoded: "Sequence[Encoded]") -> list[Outcome]:
    """Bisect a failing batch until each failing text is alone; smaller batches also recover from
    out-of-memory."""
    try:
        found = model.classify(encoded)
        if len(found) != len(encoded):
            raise RuntimeError(f"the model gave {len(found)} predictions for {len(encoded)} texts")
    except Exception as error:  # noqa: BLE001 — returned as the outcome of its text
        if len(encoded) == 1:
            return [error]
        half = len(encoded) // 2
        return _isolated(model, encoded[:half]) + _isolated(model, encoded[half:])
    return list(found)
