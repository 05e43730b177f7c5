"""Texts of many requests, for one model or several, as one batch: its size, and its classification, in which
a text that makes the model raise fails alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from tweetelm.encoding import Encoded
    from tweetelm.predictor import Prediction, Predictor

Outcome: TypeAlias = "Prediction | Exception"  # what becomes of one text


@dataclass(frozen=True, eq=False)
class Item:
    """One encoded text and the model that encoded it: after a swap the old model finishes what it began."""

    model: "Predictor"
    encoded: "Encoded"

    @property
    def tokens(self) -> int:
        return len(self.encoded.ids)


def token_count(items: Sequence[Item]) -> int:
    """The size of a batch. Nothing is padded, so it is the sum."""
    return sum(item.tokens for item in items)


def classify_each(items: Sequence[Item]) -> list[Outcome]:
    """One prediction, or the exception that its text alone raises, per item and in order."""
    places: dict[int, list[int]] = {}
    for place, item in enumerate(items):
        places.setdefault(id(item.model), []).append(place)
    outcomes: dict[int, Outcome] = {}
    for group in places.values():
        encoded = [items[place].encoded for place in group]
        outcomes |= zip(group, _isolated(items[group[0]].model, encoded), strict=True)
    return [outcomes[place] for place in range(len(items))]


def _isolated(model: "Predictor", encoded: "Sequence[Encoded]") -> list[Outcome]:
    """Halves a failing batch until the texts that fail stand alone; this also helps when memory ran out."""
    try:
        found = model.classify(encoded)
        if len(found) != len(encoded):
            raise RuntimeError(f"the model gave {len(found)} predictions for {len(encoded)} texts")
    except Exception as error:  # noqa: BLE001 — it belongs to a text, and is raised where that text's request waits
        if len(encoded) == 1:
            return [error]
        half = len(encoded) // 2
        return _isolated(model, encoded[:half]) + _isolated(model, encoded[half:])
    return list(found)
