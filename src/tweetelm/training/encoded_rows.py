"""Encoded tweets with labels. Every worker receives a complete copy."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tweetelm.encoding import Encoded


@dataclass(frozen=True, kw_only=True)
class Rows:
    """N tweets.

    Attributes:
        ids: token ids of all tweets, concatenated; row i is `ids[starts[i]:starts[i + 1]]`.
        starts: (N + 1,) offsets into `ids`.
        labels: (N,) label ids.
    """

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, encoded: Sequence[Encoded], labels: Sequence[int]) -> "Rows":
        """Concatenate encoded tweets and their label ids."""
        lengths = [len(item.ids) for item in encoded]
        ids = np.fromiter((i for item in encoded for i in item.ids), dtype=np.int32, count=sum(lengths))
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return cls(ids=ids, starts=starts, labels=np.asarray(labels, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def lengths(self) -> list[int]:
        """Number of tokens of each row."""
        return [int(length) for length in np.diff(self.starts)]

    def sequences(self, rows: Sequence[int]) -> list[list[int]]:
        """Token ids of the given rows, one list per row."""
        return [self.ids[self.starts[row] : self.starts[row + 1]].tolist() for row in rows]

    def class_weights(self, labels: int) -> list[float]:
        """Inverse class frequencies of `labels` classes, scaled to a mean of 1 over the rows. A class without
        rows has weight 0."""
        counts = np.bincount(self.labels, minlength=labels)
        present = counts > 0
        weights: Any = np.divide(len(self), counts * present.sum(), where=present, out=np.zeros(labels))
        return [float(weight) for weight in weights]
