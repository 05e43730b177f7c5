"""Models with random weights, and tweets with real lengths and real common prefixes, for benchmarks."""

import json
import random
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.cpu.prefix_tree import prefix_trees
from tweetelm.openelm.presets import preset_config

TWEETS = Path(__file__).with_name("hate_tweets.json")
Rows = list[list[int]]


@cache
def _described() -> dict[str, list[int]]:
    """Of each training tweet of the hate task, in lexicographic order of its token ids: the number of
    `tokens`, and how many of its first ones are `shared` with the tweet before it."""
    found: dict[str, list[int]] = json.loads(TWEETS.read_text(encoding="utf-8"))
    return found


@cache
def _by_length() -> list[int]:
    """The training tweets, as indices, the shortest first."""
    lengths = _described()["tokens"]
    return sorted(range(len(lengths)), key=lengths.__getitem__)


def sample_rows(count: int, vocabulary: int) -> Rows:
    """`count` tweets in random order.

    Their lengths are evenly spaced quantiles of the real ones, so that few rows have the distribution of all.
    """
    known = _by_length()
    chosen = [known[int((i + 0.5) / count * len(known))] for i in range(count)]
    random.Random(0).shuffle(chosen)
    return _rows(chosen, vocabulary)


def sorted_batches(batches: int, size: int, vocabulary: int) -> Rows:
    """`batches` x `size` rows: evenly spaced batches of all training tweets sorted by length.

    Sorting only a few hundred tweets would need more padding, which would favor variants without padding.
    """
    known = _by_length()
    every = len(known) // size / batches
    starts = [int((i + 0.5) * every) * size for i in range(batches)]
    return _rows([tweet for start in starts for tweet in known[start : start + size]], vocabulary)


def _rows(tweets: Sequence[int], vocabulary: int) -> Rows:
    """Random token ids, BOS first, with the lengths and common prefixes of the given tweets."""
    rng, described = random.Random(1), _described()
    order = sorted(set(tweets))
    found: dict[int, list[int]] = {}
    for before, tweet in pairwise([-1, *order]):
        shared = min(described["shared"][before + 1 : tweet + 1]) if found else 0
        row = found[before][:shared] if found else [1]
        missing = described["tokens"][tweet] - len(row)
        found[tweet] = row + [rng.randrange(3, vocabulary) for _ in range(missing)]
    return [found[tweet] for tweet in tweets]


def tokens(rows: Rows) -> int:
    """Number of tokens, without padding."""
    return sum(map(len, rows))


def computed_tokens(rows: Rows, most: int) -> int:
    """Number of tokens in the prefix trees of `rows`, of at most `most` tokens each."""
    return sum(len(tree.ids) for tree in prefix_trees(rows, most, int))


def model(name: str, implementation: str = "varlen") -> OpenELMForSequenceClassification:
    """A model with the shape of a preset, random weights and two labels."""
    config = preset_config(name)
    config.num_labels = 2
    torch.manual_seed(0)
    built = OpenELMForSequenceClassification._from_config(config, attn_implementation=implementation)
    return built.eval()  # type: ignore[no-any-return]


def padded(rows: Rows, size: int, to: int | None = None) -> Iterator[dict[str, Any]]:
    """Batches of `size` rows in order, padded on the right to the longest row or to `to` tokens."""
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        width = to or max(map(len, batch))
        ids, mask = torch.zeros(len(batch), width, dtype=torch.long), torch.zeros(len(batch), width)
        for row, ids_of_row in enumerate(batch):
            ids[row, : len(ids_of_row)] = torch.tensor(ids_of_row)
            mask[row, : len(ids_of_row)] = 1
        yield {"input_ids": ids, "attention_mask": mask.long(), "use_cache": False}


def to_device(device: torch.device, batch: dict[str, Any]) -> dict[str, Any]:
    """Model inputs with their tensors moved to `device`."""
    return {key: x.to(device) if isinstance(x, Tensor) else x for key, x in batch.items()}


def real_share(rows: Rows, size: int, to: int | None = None) -> float:
    """Fraction of tokens in the batches of `padded` that are not padding."""
    return tokens(rows) / sum(batch["input_ids"].numel() for batch in padded(rows, size, to))


def alternating_labels(count: int) -> Tensor:
    """`count` labels: 0, 1, 0, 1, …"""
    return torch.arange(count) % 2
