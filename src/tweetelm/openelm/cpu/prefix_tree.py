"""Packs tweets into trees of tokens, in which tweets that start alike share a common prefix.

A state of a causal decoder depends on the tokens up to its own only. Tokens of a common prefix therefore have
the same states in all its tweets, and are computed once. For fused layers only (`cpu.fused`): torch's
attention has no such mask.

Shapes: B tweets, N tokens of a tree, M the size to which the number of tweets is rounded up.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..packing import Sizes, few_sizes, many_sizes


@dataclass(frozen=True)
class PrefixTree:
    """B tweets as a tree of tokens. Tokens without a tweet may follow, which round N up.

    Attributes:
        tweets: (B,) the tweets of this tree, as indices of all tweets.
        ids: (N,) int64 token ids.
        positions: (N,) int64, the position of each token in its tweets.
        parents: (N,) int64, the row of the token before each one; -1 at position 0.
        ends: (M,) int64, the row of each tweet's last token, and rows without a tweet.
    """

    tweets: list[int]
    ids: Tensor
    positions: Tensor
    parents: Tensor
    ends: Tensor

    @staticmethod
    def of_one_pass(sequences: Sequence[Sequence[int]]) -> "PrefixTree":
        """One tree of all tweets, for training: rounds sizes up by little."""
        return next(prefix_trees(sequences, sys.maxsize, many_sizes))

    def inputs(self) -> dict[str, Any]:
        """Keyword arguments for a classifier's forward, which returns logits (M, K)."""
        return {
            "input_ids": self.ids[None],
            "position_ids": self.positions[None],
            "parents": self.parents,
            "keep_rows": self.ends,
            "use_cache": False,
        }


def prefix_trees(
    sequences: Sequence[Sequence[int]],
    most: int,
    sizes: Sizes = few_sizes,
    owners: Sequence[str | None] | None = None,
) -> Iterator[PrefixTree]:
    """Pack tweets into trees of at most `most` tokens. A longer tweet is a tree of its own.

    Args:
        sequences: token ids of each tweet.
        most: tokens of a tree, each common prefix counted once.
        sizes: rounds the numbers of tokens and tweets up.
        owners: of each tweet. Tweets of several owners share only their first token, which every text has:
            the duration of a pass must not tell one owner what another asked. Each None is another owner.

    Raises:
        ValueError: a sequence is empty.
    """
    builder, before = _Builder(), 0
    groups = _groups(owners) if owners else [0] * len(sequences)
    for group, tweet in sorted(
        zip(groups, range(len(sequences)), strict=True), key=lambda each: (each[0], tuple(sequences[each[1]]))
    ):
        ids = sequences[tweet]
        shared = min(_shared(builder.previous, ids), len(ids) if group == before else 1)
        before = group
        if builder.tweets and len(builder.ids) + len(ids) - shared > most:
            yield builder.tree(sizes)
            builder, shared = _Builder(), 0
        builder.add(tweet, ids, shared)
    if builder.tweets:
        yield builder.tree(sizes)


class _Builder:
    """The tree that tweets are added to, in lexicographic order."""

    def __init__(self) -> None:
        self.tweets: list[int] = []
        self.previous: Sequence[int] = ()
        self.ids: list[int] = []
        self.positions: list[int] = []
        self.parents: list[int] = []
        self.ends: list[int] = []
        self._path: list[int] = []  # the rows of `previous`

    def add(self, tweet: int, ids: Sequence[int], shared: int) -> None:
        """Add a tweet whose first `shared` tokens are those of the previous one."""
        if not ids:
            raise ValueError(f"tweet {tweet} has no tokens; expected at least the token that starts a text")
        first, new = len(self.ids), len(ids) - shared
        del self._path[shared:]
        if new:
            self.parents += [self._path[-1] if self._path else -1, *range(first, first + new - 1)]
            self.positions += range(shared, len(ids))
            self.ids += ids[shared:]
            self._path += range(first, first + new)
        self.ends.append(self._path[-1])
        self.tweets.append(tweet)
        self.previous = ids

    def tree(self, sizes: Sizes) -> PrefixTree:
        """The tree, with both sizes rounded up: a matrix library compiles kernels for each size."""
        missing = sizes(len(self.ids)) - len(self.ids)
        rows = (
            self.ids + self.ids[:1] * missing,
            self.positions + [0] * missing,
            self.parents + [-1] * missing,
            self.ends + [0] * (sizes(len(self.ends)) - len(self.ends)),
        )
        return PrefixTree(self.tweets, *(torch.from_numpy(np.array(each, np.int64)) for each in rows))


def _groups(owners: Sequence[str | None]) -> list[int]:
    """A number for each owner; one of its own for each None."""
    known: dict[object, int] = {}
    return [
        known.setdefault((index,) if owner is None else owner, len(known))
        for index, owner in enumerate(owners)
    ]


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    """The length of the common prefix."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count
