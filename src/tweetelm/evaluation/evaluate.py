"""A model against the labelled splits of its task, through the one inference path (`predict`)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from datasets import Dataset, DatasetDict

from tweetelm.evaluation.metrics import score
from tweetelm.tasks import Task


class Predicted(Protocol):
    """What evaluation reads of a prediction; `tweetelm.predictor.Prediction` has it."""

    @property
    def label(self) -> str: ...
    @property
    def probabilities(self) -> tuple[float, ...]: ...


class Classifier(Protocol):
    """What evaluation needs of a model; `tweetelm.predictor.Predictor` has it."""

    @property
    def task(self) -> Task: ...
    @property
    def version(self) -> str: ...
    @property
    def threshold(self) -> float | None: ...
    def predict(self, texts: Sequence[str]) -> Sequence[Predicted]: ...


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """One split: its metrics and what was predicted for each row. Holds no text.

    rows, labels (true) and predicted (what a user is told) are (N,), probabilities (N, K). `seconds` is the
    wall time of prediction, tokenisation included.
    """

    metrics: dict[str, Any]
    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model's results on some splits of its task. `version` is "" for a model that was never published."""

    task: Task
    version: str
    threshold: float | None
    splits: dict[str, SplitResult]

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """Metrics by split, as `Card.metrics` holds them."""
        return {name: split.metrics for name, split in self.splits.items()}

    def summary(self) -> str:
        """A line per split: headline metric, number of tweets, duration."""
        metric = self.task.metric
        return "\n".join(
            f"{name}: {metric} {split.metrics[metric]:.4f} on {len(split.rows):,} tweets "
            f"in {split.seconds:.1f} s ({len(split.rows) / max(split.seconds, 1e-9):,.0f} tweets/s)"
            for name, split in self.splits.items()
        )


def evaluate(
    predictor: Classifier, dataset: DatasetDict, splits: Sequence[str] = ("validation", "test")
) -> Evaluation:
    """Predict every tweet of the splits and score the predictions.

    Raises:
        ValueError: the dataset lacks a split, or numbers the labels differently.
    """
    absent = [name for name in splits if name not in dataset]
    if absent:
        raise ValueError(f"the dataset has no split {', '.join(absent)}; it has {', '.join(dataset)}")
    return Evaluation(
        task=predictor.task,
        version=predictor.version,
        threshold=predictor.threshold,
        splits={name: _evaluate_split(predictor, dataset[name], name) for name in splits},
    )


def labels_of(split: Dataset, task: Task) -> npt.NDArray[np.int64]:
    """True label ids (N,); raises ValueError where the dataset numbers the labels in another order."""
    names = split.features["label"].names
    if tuple(names) != task.labels:
        raise ValueError(f"the dataset's labels are {names}; task {task.name} expects {list(task.labels)}")
    return np.asarray(split["label"], dtype=np.int64)


def groups_of(split: Dataset, task: Task) -> list[str] | None:
    """The values by which the task's results are broken down, or None where it has none."""
    return list(split[task.group_column]) if task.group_column else None


def _evaluate_split(predictor: Classifier, split: Dataset, name: str) -> SplitResult:
    task = predictor.task
    begin = time.perf_counter()
    predictions = predictor.predict(list(split["text"]))
    seconds = time.perf_counter() - begin
    labels = labels_of(split, task)
    probabilities = np.asarray([p.probabilities for p in predictions], dtype=np.float64)
    predicted = np.asarray([task.labels.index(p.label) for p in predictions], dtype=np.int64)
    groups = groups_of(split, task)
    return SplitResult(
        metrics=score(labels, probabilities, task, groups, predicted=predicted),
        rows=np.arange(len(labels)),
        labels=labels,
        predicted=predicted,
        probabilities=probabilities,
        seconds=seconds,
    )
