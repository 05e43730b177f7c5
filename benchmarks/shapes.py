"""Models with random weights and batches with real tweet lengths, for benchmarks."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.presets import preset_config

LENGTHS = Path(__file__).with_name("hate_lengths.json")
Rows = list[list[int]]


def all_lengths() -> list[int]:
    """Token counts of the hate task's training tweets with Llama's tokenizer, in ascending order."""
    table = json.loads(LENGTHS.read_text(encoding="utf-8"))["splits"]["train"]
    return [length for length, count in table for _ in range(count)]


def sample_rows(count: int, vocabulary: int) -> Rows:
    """`count` rows of random tokens in random order.

    Their lengths are evenly spaced quantiles of the real ones, so that few rows have the distribution of all.
    """
    lengths = all_lengths()
    chosen = [lengths[int((i + 0.5) / count * len(lengths))] for i in range(count)]
    random.Random(0).shuffle(chosen)
    return _rows(chosen, vocabulary)


def sorted_batches(batches: int, size: int, vocabulary: int) -> Rows:
    """`batches` x `size` rows: evenly spaced batches of all training tweets sorted by length.

    Sorting only a few hundred tweets would need more padding, which would favor variants without padding.
    """
    lengths = all_lengths()
    every = len(lengths) // size / batches
    starts = [int((i + 0.5) * every) * size for i in range(batches)]
    return _rows([length for start in starts for length in lengths[start : start + size]], vocabulary)


def _rows(lengths: list[int], vocabulary: int) -> Rows:
    """Random token ids, BOS first."""
    rng = random.Random(1)
    return [[1, *(rng.randrange(3, vocabulary) for _ in range(length - 1))] for length in lengths]


def tokens(rows: Rows) -> int:
    """Number of tokens, without padding."""
    return sum(map(len, rows))


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
