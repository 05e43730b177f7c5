"""Classifies texts, each distinct token sequence once: within a call, and across calls by a cache."""

import hashlib
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tweetelm.archive.result_cache import Cache, Known, ResultCache

if TYPE_CHECKING:  # they import torch, which takes seconds
    from tweetelm.encoding import Encoded
    from tweetelm.predictor import Prediction

ENCODE = 1024  # texts encoded at once


class Classifies(Protocol):
    """The part of `Predictor` that is used here."""

    @property
    def labels(self) -> tuple[str, ...]: ...
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

    def __init__(self, predictor: Classifies, cache: Cache | None = None) -> None:
        self.predictor = predictor
        self.cache = cache or ResultCache(len(predictor.labels))

    def __call__(self, texts: Sequence[str]) -> tuple[list[Answer], int]:
        """The predictions in the order of the texts, and the number of sequences that the model read."""
        distinct = list(dict.fromkeys(texts))
        encoded = [
            item
            for start in range(0, len(distinct), ENCODE)
            for item in self.predictor.encode(distinct[start : start + ENCODE])
        ]
        keys = [_key(item) for item in encoded]
        sequences = dict(zip(keys, encoded, strict=True))
        known = self.cache.get_many(sequences)
        new = self._classify({key: item for key, item in sequences.items() if key not in known})
        known |= new
        answers = {
            text: Answer(*known[key], len(item.ids), item.truncated)
            for text, key, item in zip(distinct, keys, encoded, strict=True)
        }
        return [answers[text] for text in texts], len(new)

    def _classify(self, items: "dict[bytes, Encoded]") -> dict[bytes, Known]:
        """Ask the model, and add its results to the cache."""
        predictions = self.predictor.classify(list(items.values()))
        results = {
            key: (found.label, array("d", found.probabilities).tobytes())
            for key, found in zip(items, predictions, strict=True)
        }
        self.cache.put_many(results)
        return results


def _key(item: "Encoded") -> bytes:
    return hashlib.blake2b(array("I", item.ids), digest_size=16).digest()
