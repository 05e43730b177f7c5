"""Machine-readable results: metrics.json and predictions-<split>.csv.

Neither contains tweet texts: predictions are row numbers and probabilities. `recompute` checks the metrics
against them if the data is available.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import DatasetDict

from tweetelm.evaluation.evaluate import Evaluation, SplitResult, measure
from tweetelm.files import atomic
from tweetelm.files.json_file import parse_object
from tweetelm.tasks import Task, from_json, to_json

METRICS = "metrics.json"


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A model's predictions for the rows of a split, in order: label ids (N,) and probabilities (N, K)."""

    predicted: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]


def write_records(evaluation: Evaluation, folder: Path, data_md5: str, notices: Sequence[str]) -> None:
    """Write metrics.json and predictions-<split>.csv into an existing folder."""
    facts = {
        "task": to_json(evaluation.task, files=False),
        "version": evaluation.version,
        "notices": list(notices),
        "data_md5": data_md5,
        "temperature": evaluation.temperature,
        "threshold": evaluation.threshold,
        "splits": evaluation.metrics,
    }
    atomic.write_text(folder / METRICS, json.dumps(facts, indent=2, allow_nan=False) + "\n")
    for name, split in evaluation.splits.items():
        _write_predictions(split, evaluation.task, folder / f"predictions-{name}.csv")


def recompute(folder: Path, dataset: DatasetDict) -> dict[str, dict[str, Any]]:
    """Metrics by split, computed from predictions-*.csv and the data; equal to `splits` in metrics.json.

    Raises:
        ValueError: the predictions belong to another dataset.
    """
    file = folder / METRICS
    task = from_json(parse_object(file.read_bytes(), file, "evaluate again", {"task": (str, dict)})["task"])
    names = sorted(path.stem.removeprefix("predictions-") for path in folder.glob("predictions-*.csv"))
    metrics = {}
    for name in names:
        stored = read_predictions(folder, name, task, len(dataset[name]))
        metrics[name] = measure(dataset[name], task, stored.probabilities, stored.predicted)
    return metrics


def read_predictions(folder: Path, split: str, task: Task, rows: int) -> Predictions:
    """Read the predictions that `write_records` wrote for a split of `rows` tweets.

    Raises:
        FileNotFoundError: there is no file for this split.
        ValueError: the file is damaged or has another number of rows.
    """
    path = folder / f"predictions-{split}.csv"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; expected a prediction for each row of {split}")
    try:
        lines = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline=""), strict=True))
        if lines.pop(0) != _columns(task):
            raise ValueError(f"its columns are not {', '.join(_columns(task))}")
        numbers = [int(line[0]) for line in lines]
        predicted = [task.labels.index(line[-1]) for line in lines]
        probabilities = [[float(value) for value in line[1:-1]] for line in lines]
        if any(len(line) != len(task.labels) for line in probabilities):
            raise ValueError("a row has too few or too many fields")
    except (ValueError, IndexError, csv.Error) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}); evaluate or publish the model again"
        ) from error
    if numbers != list(range(rows)):
        raise ValueError(
            f"{path} has {len(lines)} predictions, but the split has {rows} rows; expected one "
            "prediction for each row, in order: it was made from other data"
        )
    return Predictions(
        predicted=np.asarray(predicted, dtype=np.int64), probabilities=np.asarray(probabilities)
    )


def _columns(task: Task) -> list[str]:
    """The header; columns are read by position, because a label may be called `row`."""
    return ["row", *task.labels, "predicted"]


def _write_predictions(split: SplitResult, task: Task, path: Path) -> None:
    """Write a CSV file; floats are written in full so that they round-trip exactly."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_columns(task))
    for row, values, label in zip(split.rows, split.probabilities, split.predicted, strict=True):
        writer.writerow([int(row), *(repr(float(value)) for value in values), task.labels[label]])
    atomic.write_text(path, file.getvalue())
