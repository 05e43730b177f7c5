"""Texts to token ids to batches: the one way a tweet becomes tensors, in training, evaluation and serving."""

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
from tweetelm.tasks import TASKS, Task
from tweetelm.text.normalize import head, normalize

ENCODING_FILE = "encoding.json"
CHARACTERS_PER_TOKEN, FEWEST_CHARACTERS = 16, 1024
"""Characters of a text that are looked at for each token that the model reads, and at least. A token of
English has four, the longest piece of Llama's tokenizer 16."""


@dataclass(frozen=True)
class Encoded:
    """One tweet's token ids, BOS first, and whether its end was cut off."""

    ids: tuple[int, ...]
    truncated: bool


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Text settings, tokenizer and length limit: what a checkpoint must remember to read a tweet as in
    training."""

    tokenizer: Tokenizer
    text: TextConfig
    max_tokens: int

    @property
    def max_characters(self) -> int:
        """Characters of a text that are looked at: the cost of encoding does not depend on those after
        them."""
        return max(FEWEST_CHARACTERS, CHARACTERS_PER_TOKEN * self.max_tokens)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Normalize, tokenize and cut; an empty text is BOS alone."""
        heads = [head(text, self.max_characters, self.text) for text in texts]
        normalized = [normalize(text, self.text)[: self.max_characters] for text, _ in heads]
        rows, limit = self.tokenizer.encode_batch(normalized), self.max_tokens
        return [
            Encoded(tuple(row.ids[:limit]), cut or len(row.ids) > limit)
            for row, (_, cut) in zip(rows, heads, strict=True)
        ]

    def with_text(self, text: TextConfig) -> "Encoder":
        """The same tokenizer and limit, reading texts in another way."""
        return dataclasses.replace(self, text=text)

    def save(self, folder: Path, task: Task) -> None:
        """Write tokenizer.json, tokenizer_config.json and encoding.json."""
        save_tokenizer(self.tokenizer, folder, self.max_tokens)
        settings = {
            "task": task.name,
            "labels": list(task.labels),
            "text": dataclasses.asdict(self.text),
            "max_tokens": self.max_tokens,
        }
        atomic.write_text(folder / ENCODING_FILE, json.dumps(settings, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> tuple["Encoder", Task]:
        """Read back what `save` wrote, and the task it was for.

        Raises:
            FileNotFoundError: the folder was not written by tweetelm.
            ValueError: its settings are damaged, or its task or its labels are not ours.
        """
        path = folder / ENCODING_FILE
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist; expected a checkpoint or version of tweetelm")
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            name, labels, limit = settings["task"], settings["labels"], int(settings["max_tokens"])
            text = TextConfig(**settings["text"])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path} is damaged or from another version of tweetelm ({type(error).__name__}: {error}); "
                "copy the folder again, or train it again"
            ) from error
        task = TASKS.get(name)
        if task is None or list(task.labels) != labels:
            raise ValueError(
                f"{path} is for task {name!r} with labels {labels}; this tweetelm knows "
                + ", ".join(f"{known.name!r} with {list(known.labels)}" for known in TASKS.values())
            )
        return cls(tokenizer=load_tokenizer(folder), text=text, max_tokens=limit), task


def pass_tokens(device: torch.device, wanted: int | None = None) -> int:
    """Tokens of one forward pass: as many as are wanted, else what a device does best with.

    On a CPU, larger passes fall out of its cache (270M shape: 2,048 tokens are some 10 % faster than 4,096);
    a GPU is kept busy by more.
    """
    return wanted or (8192 if device.type == "cuda" else 2048)


def token_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Group rows, shortest first, so that no group has more than `budget` tokens (one longer row stands
    alone).

    Rows of one length become neighbours, which packed attention on a CPU turns into one call.
    """
    return fill_batches(sorted(range(len(lengths)), key=lambda i: (lengths[i], i)), lengths, budget)


def fill_batches(rows: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut rows, in the order given, into batches of at most `budget` tokens.

    A row longer than that is a batch alone.
    """
    batches: list[list[int]] = []
    room = -1
    for row in rows:
        if lengths[row] > room:
            batches.append([])
            room = budget
        batches[-1].append(row)
        room -= lengths[row]
    return batches
