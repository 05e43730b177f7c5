"""Small fakes with simple rules."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tweetelm.config.train_config import TrainConfig
from tweetelm.data.mix.lineage import MixLineage
from tweetelm.data.unlabeled import UnlabeledFiles
from tweetelm.registry import Base, Card, make_card
from tweetelm.tasks import Task


@dataclass(frozen=True)
class FakePrediction:
    label: str
    probabilities: tuple[float, ...]
    tokens: int
    truncated: bool


class ShoutPredictor:
    """P(positive) is the share of words in capitals; 0 for a tweet without words."""

    def __init__(self, task: Task, threshold: float | None = None, version: str = "") -> None:
        self.task, self.labels, self.threshold, self.version = task, task.labels, threshold, version
        self.card: dict[str, Any] | None = None
        self.temperature = 1.0

    def predict(self, texts: Sequence[str]) -> list[FakePrediction]:
        return [self._predict(text.split()) for text in texts]

    def _predict(self, words: list[str]) -> FakePrediction:
        p = sum(word.isupper() for word in words) / max(len(words), 1)
        positive = p > 0.5 if self.threshold is None else p >= self.threshold
        return FakePrediction(self.labels[positive], (1 - p, p), len(words), False)


@dataclass(frozen=True)
class FakeProvenance:
    root: str = "data"
    md5: str = "0" * 32 + ".dir"
    synthetic: bool = False
    rows: tuple[tuple[str, int], ...] = (("train", 3), ("validation", 4), ("test", 4))
    unlabeled: UnlabeledFiles | None = None
    distilled: UnlabeledFiles | None = None
    mix: MixLineage | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", dict(self.rows))


def dataset(task: Task, **splits: list[tuple[Any, ...]]) -> DatasetDict:
    """Splits from rows (text, label id) or, if the task has groups, (text, label id, group)."""
    columns = {"text": Value("string"), "label": ClassLabel(names=list(task.labels))}
    if task.group_column:
        columns[task.group_column] = Value("string")
    return DatasetDict(
        {
            name: Dataset.from_dict(
                dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True)),
                features=Features(columns),
            )
            for name, rows in splits.items()
        }
    )


def checkpoint(folder: Path, weights: bytes = b"weights") -> Path:
    """Write the files of a training checkpoint with dummy contents."""
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "encoding.json", "state.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "optimizer.safetensors").write_bytes(b"moments")
    return folder


CREATED = datetime.fromisoformat("2026-11-21T10:00:00+00:00")
BASE = Base(
    name="openelm-270m",
    init="pretrained",
    source="apple/OpenELM-270M",
    revision="abc",
    weights_sha256="1" * 64,
    tokenizer_sha256="2" * 64,
)


def card(validation: float = 0.7, **changes: Any) -> Card:
    """Return a card with this validation metric."""
    metrics = {"validation": {"macro_f1": validation}, "test": {"macro_f1": 0.5, "n": 4}}
    made = make_card(
        TrainConfig(task="hate"),
        provenance=FakeProvenance(),
        base=BASE,
        metrics=metrics,
        git={"commit": "c0ffee", "dirty": False},
        created=CREATED,
    )
    return dataclasses.replace(made, **changes)


def synthetic(validation: float = 0.7) -> Card:
    """Return a card for the synthetic sample."""
    return card(validation, data={**card().data, "synthetic": True})
