"""Classifies texts, each distinct token sequence once: within a call, and across calls by a cache."""

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tweetelm.prediction.result_cache import Cache, Known, key_of, packed

if TYPE_CHECKING:  # they import torch, which takes seconds
    from tweetelm.encoding import Encoded
    from tweetelm.predictor import Prediction

ENCODE = 1024  # texts encoded at once


class Classifies(Protocol):
    """The part of `Predictor` that is used here."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def precision(self) -> str: ...
    def encode(self, texts: Sequence[str]) -> "list[Encoded]": ...
    def classify(self, encoded: "Sequence[Encoded]") -> "list[Prediction]": ...


class Answer(NamedTuple):
    """The prediction for one row; see `Prediction`. The probabilities are packed as float64."""

    label: str
    packed: bytes
    tokens: int
    truncated: bool

    @property
    def probabilities(self) -> Sequence[float]:
        """One per label."""
        return array("d", self.packed)


class DedupClassifier:
    """Classifies texts with one model, and asks it only for token sequences that are not in the cache."""

    def __init__(self, predictor: Classifies, cache: Cache | None) -> None:
        """Args:
        predictor: the model.
        cache: results of earlier calls; None asks the model for every text.
        """
        self.predictor = predictor
        self.cache = cache

    def __call__(self, texts: Sequence[str]) -> tuple[list[Answer], int]:
        """The predictions in the order of the texts, and the number of sequences that the model read."""
        if self.cache is None:
            encoded = self._encode(texts)
            found = self.predictor.classify(encoded)
            return [_answer(packed(one), item) for one, item in zip(found, encoded, strict=True)], len(texts)
        distinct = list(dict.fromkeys(texts))
        encoded = self._encode(distinct)
        keys = [key_of(item.ids, self.predictor.precision) for item in encoded]
        sequences = dict(zip(keys, encoded, strict=True))
        known = self.cache.get_many(sequences)
        new = self._classify({key: item for key, item in sequences.items() if key not in known})
        self.cache.put_many(new)
        known |= new
        answers = {
            text: _answer(known[key], item) for text, key, item in zip(distinct, keys, encoded, strict=True)
        }
        return [answers[text] for text in texts], len(new)

    def _encode(self, texts: Sequence[str]) -> "list[Encoded]":
        starts = range(0, len(texts), ENCODE)
        return [item for start in starts for item in self.predictor.encode(texts[start : start + ENCODE])]

    def _classify(self, items: "dict[bytes, Encoded]") -> dict[bytes, Known]:
        predictions = self.predictor.classify(list(items.values()))
        return {key: packed(found) for key, found in zip(items, predictions, strict=True)}


def _answer(known: Known, item: "Encoded") -> Answer:
    return Answer(*known, len(item.ids), item.truncated)
