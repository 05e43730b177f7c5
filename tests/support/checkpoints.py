"""Small, complete checkpoint folders: random weights, a tokenizer trained on a few lines, settings."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from tests.support import fakes
from tests.support.openelm_models import small_config
from tweetelm.config.text_config import TextConfig
from tweetelm.encoding import Encoder
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.checkpoints.tokenizer import train_tokenizer
from tweetelm.tasks import HATE, Task

LINES = [
    "what a lovely morning, the kettle sings and the cat sleeps",
    "who took the last biscuit? it was the biscuit i was saving",
    "rain again, so the match is off and the pitch is a lake 😂",
    "my neighbour plays the tuba at night and i play it back louder",
]
TWEETS = [
    "",
    "x",
    "the cat took the biscuit",
    "the cat took the biscuit",
    "rain, rain, rain and more rain 😂😂",
    "who plays the tuba at night? my neighbour plays the tuba at night, louder and louder",
    "@somebody look at https://example.org/cat now",
    "日本語のつぶやき",
]


@cache
def small_tokenizer() -> Tokenizer:
    return train_tokenizer(LINES * 3, 320)


def checkpoint(
    folder: Path,
    task: Task = HATE,
    *,
    seed: int = 0,
    max_tokens: int = 24,
    head: float = 20.0,
    **changes: Any,
) -> Path:
    """Write a training checkpoint without the optimizer state.

    The classifier's initial weights are multiplied by `head`, so that predictions differ. `changes` are
    fields of the model's configuration.
    """
    torch.manual_seed(seed)
    tokenizer = small_tokenizer()
    names = {"id2label": dict(enumerate(task.labels)), "label2id": {n: i for i, n in enumerate(task.labels)}}
    config = small_config(vocab_size=tokenizer.get_vocab_size(), **names, **changes)
    model = OpenELMForSequenceClassification(config)
    with torch.no_grad():
        model.score.weight.mul_(head)
    model.save_pretrained(folder)
    Encoder(tokenizer=tokenizer, text=TextConfig(), max_tokens=max_tokens).save(folder, task)
    return folder


def as_version(folder: Path, **card: Any) -> Path:
    """Add the card that makes a checkpoint a published version."""
    made = fakes.card(version="20261121-abc123", **card)
    (folder / "card.json").write_text(made.to_json(), encoding="utf-8")
    return folder


def edit_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file; keys with the value None are removed."""
    values = json.loads(path.read_text(encoding="utf-8")) | changes
    kept = {key: value for key, value in values.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")
