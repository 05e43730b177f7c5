"""Results of one model by token sequence, for texts that come again; bounded memory."""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from tweetelm.prediction.predictions import Prediction

CACHE_BYTES = 512 << 20
ENTRY_BYTES = 300  # of an entry without its probabilities; 266 measured in CPython 3.11
Known = tuple[str, bytes]
"""A label, and the probabilities as float64."""


class Cache(Protocol):
    """Results by the hash of a token sequence."""

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, Known]: ...
    def put_many(self, results: Mapping[bytes, Known]) -> None: ...


class ResultCache:
    """The most recently used results of one model.

    Attributes:
        capacity: maximum number of results; 0 keeps none.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._results: OrderedDict[bytes, Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._results)

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, Known]:
        """The known results among these keys."""
        found = {key: self._results[key] for key in keys if key in self._results}
        for key in found:
            self._results.move_to_end(key)
        return found

    def put_many(self, results: Mapping[bytes, Known]) -> None:
        """Add results; drop those whose last use is longest ago."""
        self._results.update(results)
        self.resize(self.capacity)

    def resize(self, capacity: int) -> None:
        """Set the capacity; drop those whose last use is longest ago."""
        self.capacity = capacity
        while len(self._results) > capacity:
            self._results.popitem(last=False)


def default_capacity(labels: int) -> int:
    """The number of results with `labels` probabilities each that `CACHE_BYTES` hold."""
    return CACHE_BYTES // (ENTRY_BYTES + 8 * labels)


def key_of(ids: Sequence[int], precision: str) -> bytes:
    """The hash of a token sequence, different for each precision of the model."""
    return hashlib.blake2b(array("I", ids), digest_size=16, person=precision.encode()).digest()


def packed(found: Prediction) -> Known:
    """The part of a prediction that depends on the token ids alone, in little memory."""
    return found.label, array("d", found.probabilities).tobytes()
