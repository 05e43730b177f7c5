"""Models and batches of the shapes that benchmarks run: random weights, real lengths."""

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


def tweets(count: int, vocabulary: int, seed: int = 0) -> list[list[int]]:
    """Random token ids, BOS first, as long as the hate task's training tweets are under Llama's tokenizer."""
    table = json.loads(LENGTHS.read_text(encoding="utf-8"))["splits"]["train"]
    lengths = [length for length, n in table for _ in range(n)]
    chooser = random.Random(seed)
    chosen = (chooser.choice(lengths) for _ in range(count))
    return [[1, *(chooser.randrange(3, vocabulary) for _ in range(length - 1))] for length in chosen]


def model(name: str, implementation: str = "varlen") -> OpenELMForSequenceClassification:
    """A preset's shape with random weights and two labels."""
    config = preset_config(name)
    config.num_labels = 2
    torch.manual_seed(0)
    built = OpenELMForSequenceClassification._from_config(config, attn_implementation=implementation)
    return built.eval()  # type: ignore[no-any-return]


def padded(rows: list[list[int]], size: int, to: int | None = None) -> Iterator[dict[str, Any]]:
    """Batches of `size` rows in the order given, padded on the right to the longest, or to `to` tokens."""
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        width = to or max(map(len, batch))
        ids, mask = torch.zeros(len(batch), width, dtype=torch.long), torch.zeros(len(batch), width)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        yield {"input_ids": ids, "attention_mask": mask.long(), "use_cache": False}


def last_labels(count: int) -> Tensor:
    """Labels for `count` rows."""
    return torch.arange(count) % 2
