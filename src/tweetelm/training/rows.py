"""Encoded tweets with labels, small enough to travel to every worker whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tweetelm.encoding import Encoded


@dataclass(frozen=True, kw_only=True)
class Rows:
    """N tweets. `ids` holds all tokens end to end, row i at `starts[i]:starts[i + 1]`; `labels` is (N,)."""

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, encoded: Sequence[Encoded], labels: Sequence[int]) -> "Rows":
        """Gather encoded tweets and their label ids."""
        lengths = [len(item.ids) for item in encoded]
        ids = np.fromiter((i for item in encoded for i in item.ids), dtype=np.int32, count=sum(lengths))
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return cls(ids=ids, starts=starts, labels=np.asarray(labels, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [int(length) for length in np.diff(self.starts)]

    def sequences(self, rows: Sequence[int]) -> list[list[int]]:
        """Token ids of the given rows."""
        return [self.ids[self.starts[row] : self.starts[row + 1]].tolist() for row in rows]

    def class_weights(self, labels: int) -> list[float]:
        """Inverse class frequencies, scaled so that the mean over the rows is 1. (A class without rows gets
        0.)"""
        counts = np.bincount(self.labels, minlength=labels)
        present = counts > 0
        weights: Any = np.divide(len(self), counts * present.sum(), where=present, out=np.zeros(labels))
        return [float(weight) for weight in weights]
