"""Registries for benchmarks: published models with the shape of a preset and random weights."""

import math
import random
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import torch
from tokenizers import Tokenizer

from benchmarks.shapes import sample_rows
from tweetelm import registry as versions
from tweetelm.config.text_config import TextConfig
from tweetelm.config.train_config import TrainConfig
from tweetelm.data import SAMPLE, load, provenance
from tweetelm.encoding import Encoder
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.checkpoints.tokenizer import train_tokenizer
from tweetelm.openelm.presets import preset_config
from tweetelm.registry import Base, make_card
from tweetelm.tasks import DEEPFAKE, HATE, Task

Fault = Literal["tampered", "not a number", "of another task"]
_BASE = Base(name="", init="random", source="", revision=None, weights_sha256=None, tokenizer_sha256=None)
_MAX_TOKENS = 512  # longer than every tweet, so that none is truncated


def publish(registry: Path, preset: str = "scratch-1m", *, seed: int = 0, fault: Fault | None = None) -> str:
    """Publish a model for the hate task; returns its version, which is current unless it has a fault."""
    task = DEEPFAKE if fault == "of another task" else HATE
    seed += 1000 * (fault is not None)  # equal content would be the same version as the good one
    with tempfile.TemporaryDirectory(prefix="tweetelm-checkpoint-") as name:
        _write(Path(name), preset, task, seed, broken=fault == "not a number")
        score = 0.0 if fault else 0.5 + seed / 100
        card = make_card(
            TrainConfig(task="hate"),
            provenance=provenance(HATE, SAMPLE),
            base={**_BASE, "name": preset},
            metrics={"validation": {HATE.metric: score}},
            git=None,
            created=datetime.now(UTC),
        )
        published = versions.publish(Path(name), card, registry=str(registry))
    if fault == "tampered":
        _flip_last_byte(Path(published.path) / "model.safetensors")
    return published.version


def _write(folder: Path, preset: str, task: Task, seed: int, *, broken: bool) -> None:
    torch.manual_seed(seed)
    config = preset_config(preset)
    config.id2label = dict(enumerate(task.labels))
    config.label2id = {label: index for index, label in enumerate(task.labels)}
    model = OpenELMForSequenceClassification(config)
    if broken:
        with torch.no_grad():
            model.score.weight.fill_(math.nan)
    model.save_pretrained(folder)
    tokenizer = tokenizer_of(preset)
    Encoder(tokenizer=tokenizer, text=TextConfig(), max_tokens=_MAX_TOKENS).save(folder, task)


def tokenizer_of(preset: str) -> Tokenizer:
    """A tokenizer with the preset's vocabulary size, trained on the sample."""
    return train_tokenizer(load(HATE, SAMPLE)["train"]["text"], preset_config(preset).vocab_size)


def _flip_last_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))


def tweets(count: int, tokenizer: Tokenizer) -> list[str]:
    """Random texts with the lengths and common prefixes of the hate task's tweets with Llama's tokenizer.

    The lengths are evenly spaced quantiles in random order, so that few texts have the distribution of all.
    """
    words = _words_of_one_token(tokenizer)
    some = words[:1]  # for tweets without text
    return [" ".join([words[i - 3] for i in row[1:]] or some) for row in sample_rows(count, len(words) + 3)]


def a_third_repeated(count: int, tokenizer: Tokenizer) -> list[str]:
    """`tweets`, of which a third, drawn at random, equal a text 100 to 299 places before, like retweets."""
    rng = random.Random(0)
    found: list[str] = []
    for text in tweets(count, tokenizer):
        is_repeated = len(found) > 300 and rng.random() < 1 / 3
        found.append(found[-rng.randrange(100, 300)] if is_repeated else text)
    return found


def _words_of_one_token(tokenizer: Tokenizer) -> list[str]:
    pieces = (piece.removeprefix("Ġ") for piece in sorted(tokenizer.get_vocab()) if piece.startswith("Ġ"))
    words = [piece for piece in pieces if piece.isascii() and piece.isalpha() and piece.islower()]
    return [word for word in words if len(tokenizer.encode(word).ids) == 2]
