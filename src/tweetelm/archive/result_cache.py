"""Results by token sequence, for texts that come again; bounded memory."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Protocol

CACHE_BYTES = 512 << 20
ENTRY_BYTES = 300  # of an entry without its probabilities; 266 measured in CPython 3.11
Known = tuple[str, bytes]
"""A label, and the probabilities as float64."""


class Cache(Protocol):
    """Results by the hash of a token sequence."""

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, Known]: ...
    def put_many(self, results: Mapping[bytes, Known]) -> None: ...


class ResultCache:
    """The most recently used results.

    Attributes:
        capacity: number of results.
    """

    def __init__(self, labels: int, size: int = CACHE_BYTES) -> None:
        self.capacity = size // (ENTRY_BYTES + 8 * labels)
        self._results: OrderedDict[bytes, Known] = OrderedDict()

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, Known]:
        """The known results among these keys."""
        found = {key: self._results[key] for key in keys if key in self._results}
        for key in found:
            self._results.move_to_end(key)
        return found

    def put_many(self, results: Mapping[bytes, Known]) -> None:
        """Add results; drop those whose last use is longest ago."""
        self._results.update(results)
        while len(self._results) > self.capacity:
            self._results.popitem(last=False)
