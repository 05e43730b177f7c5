"""Evaluates a model on the labeled splits of its task. Predictions come from `predict`, as in serving."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from datasets import Dataset, DatasetDict

from tweetelm.evaluation.bootstrap import (
    confusion,
    interval,
    macro_auroc,
    row_intervals,
    statistics_of,
)
from tweetelm.evaluation.calibration import best_threshold, fit_temperature, rescale
from tweetelm.evaluation.fairness import error_rates
from tweetelm.evaluation.metrics import score
from tweetelm.evaluation.report.document import Interval
from tweetelm.tasks import Task


class Predicted(Protocol):
    """The interface of a prediction; `tweetelm.predictor.Prediction` implements it."""

    @property
    def label(self) -> str: ...
    @property
    def probabilities(self) -> tuple[float, ...]: ...


class Classifier(Protocol):
    """The interface of a model; `tweetelm.predictor.Predictor` implements it."""

    @property
    def task(self) -> Task: ...
    @property
    def version(self) -> str: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def temperature(self) -> float: ...
    def predict(self, texts: Sequence[str]) -> Sequence[Predicted]:
        """Return one prediction per text, in the order of the texts."""
        ...


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """Metrics and predictions of one split, without texts.

    Attributes:
        metrics: see `measure`.
        rows: (N,) row numbers.
        labels: (N,) true label ids.
        predicted: (N,) predicted label ids, after the threshold.
        probabilities: (N, K).
        seconds: wall time of prediction, including tokenization.
    """

    metrics: dict[str, Any]
    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The results of a model on splits of its task, with a threshold and a temperature.

    `version` is "" for a model that was not published.
    """

    task: Task
    version: str
    threshold: float | None
    temperature: float = 1.0
    splits: dict[str, SplitResult]

    def __repr__(self) -> str:
        return f"Evaluation({self.task.name}: {', '.join(map(self._headline, self.splits))})"

    def _headline(self, split: str) -> str:
        metrics, metric = self.metrics[split], self.task.metric
        ends = metrics["intervals"][metric]
        interval = f" [{ends[0]:.4f}, {ends[1]:.4f}]" if ends else ""
        return f"{split} {metric} {metrics[metric]:.4f}{interval} on {metrics['n']:,} tweets"

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """Metrics by split, in the format of `Card.metrics`."""
        return {name: split.metrics for name, split in self.splits.items()}

    def rescored(self, dataset: DatasetDict, *, temperature: float, threshold: float | None) -> "Evaluation":
        """The results of the same model with another temperature and threshold, without predicting again."""
        factor = temperature / self.temperature
        splits = {}
        for name, split in self.splits.items():
            probabilities = rescale(split.probabilities, factor)
            predicted = decide(probabilities, threshold)
            metrics = measure(dataset[name], self.task, probabilities, predicted)
            splits[name] = replace(split, probabilities=probabilities, predicted=predicted, metrics=metrics)
        return replace(self, temperature=temperature, threshold=threshold, splits=splits)

    def summary(self) -> str:
        """One line per split: headline metric, number of tweets, duration."""
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
        temperature=predictor.temperature,
        splits={name: _evaluate_split(predictor, dataset[name], name) for name in splits},
    )


def calibrated(
    evaluation: Evaluation, dataset: DatasetDict, rule: Literal["argmax", "validation"] = "argmax"
) -> Evaluation:
    """The evaluation with the temperature that maximizes the likelihood of the validation labels.

    A predictor whose card has its `temperature` and `threshold` gives exactly these predictions. The
    threshold is None for `argmax`; for `validation`, it maximizes macro-F1 on validation.

    Raises:
        ValueError: `rule` is `validation`, but the task has more than two labels.
    """
    if rule == "validation" and len(evaluation.task.labels) > 2:
        raise ValueError(
            f"--run.threshold validation needs a task with two labels; {evaluation.task.name} has "
            f"{len(evaluation.task.labels)}: use --run.threshold argmax"
        )
    validation = evaluation.splits["validation"]
    factor = fit_temperature(validation.labels, validation.probabilities)
    threshold = None
    if rule == "validation":
        threshold = best_threshold(validation.labels, rescale(validation.probabilities, factor)[:, -1])
    return evaluation.rescored(dataset, temperature=evaluation.temperature * factor, threshold=threshold)


def labels_of(split: Dataset, task: Task) -> npt.NDArray[np.int64]:
    """True label ids (N,).

    Raises:
        ValueError: the dataset has other labels than the task, or another order.
    """
    names = split.features["label"].names
    if tuple(names) != task.labels:
        raise ValueError(f"the dataset's labels are {names}; task {task.name} expects {list(task.labels)}")
    return np.asarray(split["label"], dtype=np.int64)


def groups_of(split: Dataset, task: Task) -> list[str] | None:
    """The values of the task's group column; None if the task has none."""
    return list(split[task.group_column]) if task.group_column else None


def _evaluate_split(predictor: Classifier, split: Dataset, name: str) -> SplitResult:
    task = predictor.task
    begin = time.perf_counter()
    predictions = predictor.predict(list(split["text"]))
    seconds = time.perf_counter() - begin
    probabilities = np.asarray([p.probabilities for p in predictions], dtype=np.float64)
    predicted = np.asarray([task.labels.index(p.label) for p in predictions], dtype=np.int64)
    return SplitResult(
        metrics=measure(split, task, probabilities, predicted),
        rows=np.arange(len(split)),
        labels=labels_of(split, task),
        predicted=predicted,
        probabilities=probabilities,
        seconds=seconds,
    )


def decide(probabilities: npt.NDArray[np.float64], threshold: float | None) -> npt.NDArray[np.int64]:
    """Label ids (N,) as `Predictor` predicts them: most probable, or positive from the threshold on."""
    if threshold is None:
        most_probable: npt.NDArray[np.int64] = probabilities.argmax(axis=1)
        return most_probable
    return np.where(probabilities[:, -1] >= threshold, probabilities.shape[1] - 1, 0)


def measure(
    split: Dataset, task: Task, probabilities: npt.NDArray[np.float64], predicted: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """The metrics of a split: `metrics.score`, `intervals` of main metrics, and `error_rates` by group."""
    labels = labels_of(split, task)
    metrics = score(labels, probabilities, task, groups_of(split, task), predicted=predicted)
    table = confusion(labels, predicted, len(task.labels))
    intervals = {name: interval(table, statistic) for name, statistic in statistics_of(task).items()}
    if metrics["auroc"] is not None:
        intervals["auroc"] = row_intervals(len(labels), macro_auroc(labels, probabilities))[0]
    return metrics | {
        "intervals": {name: _ends(found) for name, found in intervals.items()},
        "error_rates": error_rates(split, task, labels, predicted),
    }


def _ends(found: Interval | None) -> list[float] | None:
    return None if found is None else [found.low, found.high]
