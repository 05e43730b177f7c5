"""Texts to token ids to batches. Training, evaluation and serving all encode tweets with this module."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from tweetelm.config.text_config import TextConfig
from tweetelm.files import atomic
from tweetelm.openelm.checkpoints.tokenizer import load_tokenizer, save_tokenizer
from tweetelm.tasks import Task, from_json, to_json
from tweetelm.text.normalize import head, normalize

ENCODING_FILE = "encoding.json"
CHARACTERS_PER_TOKEN, FEWEST_CHARACTERS = 16, 1024
"""Characters read per token of the model's limit, and the minimum per text. An English token has about four
characters; the longest token of Llama's tokenizer has 16. SmolLM2's has runs of up to 80 equal signs: a text
that starts with thousands of them is truncated early."""


@dataclass(frozen=True)
class Encoded:
    """The token ids of one tweet, BOS first, and whether its end was truncated."""

    ids: tuple[int, ...]
    truncated: bool


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Tokenizer, text settings and length limit. A checkpoint stores them, so that inference encodes tweets
    as training did."""

    tokenizer: Tokenizer
    text: TextConfig
    max_tokens: int

    @property
    def max_characters(self) -> int:
        """Characters read per text. Encoding ignores the rest, which bounds its cost."""
        return max(FEWEST_CHARACTERS, CHARACTERS_PER_TOKEN * self.max_tokens)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Normalize, tokenize and truncate. An empty text gives BOS only."""
        heads = [head(text, self.max_characters, self.text) for text in texts]
        normalized = [normalize(text, self.text)[: self.max_characters] for text, _ in heads]
        rows, limit = self.tokenizer.encode_batch_fast(normalized), self.max_tokens
        return [
            Encoded(tuple(row.ids[:limit]), cut or len(row.ids) > limit)
            for row, (_, cut) in zip(rows, heads, strict=True)
        ]

    def with_text(self, text: TextConfig) -> "Encoder":
        """The same tokenizer and limit with other text settings."""
        return dataclasses.replace(self, text=text)

    def save(self, folder: Path, task: Task) -> None:
        """Write tokenizer.json, tokenizer_config.json and encoding.json."""
        save_tokenizer(self.tokenizer, folder, self.max_tokens)
        settings = {
            "task": to_json(task, files=False),
            "labels": list(task.labels),
            "text": dataclasses.asdict(self.text),
            "max_tokens": self.max_tokens,
        }
        atomic.write_text(folder / ENCODING_FILE, json.dumps(settings, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> tuple["Encoder", Task]:
        """Load an encoder written by `save`, and its task.

        Raises:
            FileNotFoundError: the folder was not written by tweetelm.
            ValueError: its settings are damaged, or its labels are not those of its task.
        """
        path = folder / ENCODING_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} does not exist; expected a folder with a checkpoint or published version of tweetelm"
            )
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            task, labels = from_json(settings["task"]), settings["labels"]
            limit = int(settings["max_tokens"])
            text = TextConfig(**settings["text"])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path} is damaged or from another version of tweetelm ({type(error).__name__}: {error}); "
                "copy the folder again, or train it again"
            ) from error
        if list(task.labels) != labels:
            raise ValueError(f"{path} has labels {labels}; task {task.name!r} has {list(task.labels)}")
        return cls(tokenizer=load_tokenizer(folder), text=text, max_tokens=limit), task


def pass_tokens(device: torch.device, wanted: int | None = None) -> int:
    """The maximum number of tokens per forward pass: `wanted`, or the default of the device.

    The default is 2,048 on a CPU, where larger passes exceed the cache (270M: about 10 % faster than 4,096
    tokens), and 8,192 on a GPU, which needs larger passes to be fully used.
    """
    return wanted or (8192 if device.type == "cuda" else 2048)


def token_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Sort rows by length, shortest first, and split them into batches of at most `budget` tokens.

    A row longer than the budget is a batch of its own. Rows of equal length become adjacent, so that packed
    attention on a CPU handles them in one call.
    """
    return fill_batches(sorted(range(len(lengths)), key=lambda i: (lengths[i], i)), lengths, budget)


def fill_batches(rows: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Split rows, in the given order, into batches of at most `budget` tokens.

    A row longer than the budget is a batch of its own.
    """
    batches: list[list[int]] = []
    remaining = -1
    for row in rows:
        if lengths[row] > remaining:
            batches.append([])
            remaining = budget
        batches[-1].append(row)
        remaining -= lengths[row]
    return batches
