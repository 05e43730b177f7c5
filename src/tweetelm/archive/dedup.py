"""Classifies texts, each distinct token sequence once: within a call, and across calls by a bounded cache."""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:  # they import torch, which takes seconds
    from tweetelm.encoding import Encoded
    from tweetelm.predictor import Prediction

CACHE_BYTES = 128 << 20
ENTRY_BYTES = 300  # of an entry without its probabilities; 266 measured in CPython 3.11
ENCODE = 1024  # texts encoded at once


class Classifies(Protocol):
    """The part of `Predictor` that is used here."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    def encode(self, texts: Sequence[str]) -> "list[Encoded]": ...
    def classify(self, encoded: "Sequence[Encoded]") -> "list[Prediction]": ...


class Answer(NamedTuple):
    """The prediction for one row; see `Prediction`."""

    label: str
    probabilities: Sequence[float]
    tokens: int
    truncated: bool


_Known = tuple[str, "array[float]"]


class DedupClassifier:
    """Classifies texts with one model. Its cache holds the most recently used results.

    Attributes:
        capacity: number of results in the cache.
    """

    def __init__(self, predictor: Classifies, cache_bytes: int = CACHE_BYTES) -> None:
        self.predictor = predictor
        self.capacity = cache_bytes // (ENTRY_BYTES + 8 * len(predictor.labels))
        self._cache: OrderedDict[bytes, _Known] = OrderedDict()

    def __call__(self, texts: Sequence[str]) -> tuple[list[Answer], int]:
        """The predictions in the order of the texts, and the number of sequences that the model read."""
        distinct = list(dict.fromkeys(texts))
        encoded = [
            item
            for start in range(0, len(distinct), ENCODE)
            for item in self.predictor.encode(distinct[start : start + ENCODE])
        ]
        keys = [_key(item) for item in encoded]
        known, asked = self._known(keys, encoded)
        answers = {
            text: Answer(*known[key], len(item.ids), item.truncated)
            for text, key, item in zip(distinct, keys, encoded, strict=True)
        }
        return [answers[text] for text in texts], asked

    def _known(self, keys: list[bytes], encoded: "list[Encoded]") -> tuple[dict[bytes, _Known], int]:
        """The results of all keys, and the number of keys that were not in the cache."""
        known = {key: self._cache[key] for key in keys if key in self._cache}
        new = {key: item for key, item in zip(keys, encoded, strict=True) if key not in known}
        for key, found in zip(new, self.predictor.classify(list(new.values())), strict=True):
            known[key] = found.label, array("d", found.probabilities)
        for key in keys:
            self._cache[key] = known[key]
            self._cache.move_to_end(key)
        while len(self._cache) > self.capacity:
            self._cache.popitem(last=False)
        return known, len(new)


def _key(item: "Encoded") -> bytes:
    return hashlib.blake2b(array("I", item.ids), digest_size=16).digest()
