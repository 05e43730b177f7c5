"""Encoded tweets, with and without labels. Every worker receives a complete copy."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tweetelm.encoding import Encoded

NO_LABEL = -100
"""Label id of a tweet without a label; cross-entropy ignores it (torch's default ignore_index)."""


@dataclass(frozen=True, kw_only=True)
class Tweets:
    """N tweets.

    Attributes:
        ids: token ids of all tweets, concatenated; row i is `ids[starts[i]:starts[i + 1]]`.
        starts: (N + 1,) offsets into `ids`.
    """

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]

    @staticmethod
    def encoded(items: Sequence[Encoded]) -> "Tweets":
        """Concatenate encoded tweets."""
        lengths = [len(item.ids) for item in items]
        ids = np.fromiter((i for item in items for i in item.ids), dtype=np.int32, count=sum(lengths))
        return Tweets(ids=ids, starts=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))

    def followed_by(self, others: "Tweets") -> "Tweets":
        """These tweets and then the others, without labels."""
        starts = np.concatenate([self.starts, others.starts[1:] + self.starts[-1]])
        return Tweets(ids=np.concatenate([self.ids, others.ids]), starts=starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def lengths(self) -> list[int]:
        """Number of tokens of each row."""
        return [int(length) for length in np.diff(self.starts)]

    def sequences(self, rows: Sequence[int]) -> list[list[int]]:
        """Token ids of the given rows, one list per row."""
        return [self.ids[self.starts[row] : self.starts[row + 1]].tolist() for row in rows]


@dataclass(frozen=True, kw_only=True)
class Rows(Tweets):
    """N labeled tweets.

    Attributes:
        labels: (N,) label ids; `NO_LABEL` for tweets that only a teacher labels.
        teacher: (N, K) float32, the teacher's log-probabilities of K labels; None without a teacher.
    """

    labels: NDArray[np.int64]
    teacher: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, encoded: Sequence[Encoded], labels: Sequence[int]) -> "Rows":
        """Concatenate encoded tweets and their label ids."""
        tweets = Tweets.encoded(encoded)
        return cls(ids=tweets.ids, starts=tweets.starts, labels=np.asarray(labels, dtype=np.int64))

    def class_weights(self, labels: int) -> list[float]:
        """Inverse class frequencies of `labels` classes, scaled to a mean of 1 over the labeled rows. A class
        without rows has weight 0."""
        known = self.labels[self.labels != NO_LABEL]
        counts = np.bincount(known, minlength=labels)
        present = counts > 0
        weights: Any = np.divide(len(known), counts * present.sum(), where=present, out=np.zeros(labels))
        return [float(weight) for weight in weights]
