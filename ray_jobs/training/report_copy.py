"""Copies a run's report to a folder of the user's choice, with scores and curves as DVC reads them."""

import csv
import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ray_jobs.run_dir import EVALUATION, Finished
from tweetelm.config.train_config import TrainConfig
from tweetelm.files import object_storage
from tweetelm.files.json_file import parse_object
from tweetelm.files.paths import located
from tweetelm.tracking.trackers import HISTORY, read_history

SCORES_FILE, CURVE_FILE = "scores.json", "curve.csv"


def copy_report(config: TrainConfig, finished: Finished, folder: str) -> str:
    """Copy the report of a finished run into `folder`, and return its path or URL.

    Adds scores.json (scores by split), curve.csv (a row per validation) and, per split, confusion-SPLIT.csv
    (a row per tweet with its true and predicted label, in the order of the labels).

    Raises:
        FileNotFoundError: the run has no report.
        OSError: the folder cannot be written.
    """
    target = located(folder)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch)
        object_storage.fetch(f"{config.folder}/{EVALUATION}", copy)
        (copy / SCORES_FILE).write_text(json.dumps(finished.scores, indent=2) + "\n")
        (copy / CURVE_FILE).write_text(_curve(config, copy))
        metrics = copy / "metrics.json"
        splits = parse_object(metrics.read_bytes(), metrics, "delete finished.json", {"splits": dict})[
            "splits"
        ]
        for name, scores in splits.items():
            rows = _confused(scores["confusion"], config.task.labels)
            (copy / f"confusion-{name}.csv").write_text(_csv(["actual", "predicted"], rows))
        object_storage.send(copy, target)
    return target


def _curve(config: TrainConfig, scratch: Path) -> str:
    """Step, epoch, training loss and validation metrics, a row per validation."""
    object_storage.fetch(config.folder, scratch / "run", [HISTORY])
    lines = [line for line in read_history(scratch / "run" / HISTORY) if "validation_loss" in line]
    (scratch / "run" / HISTORY).unlink()
    (scratch / "run").rmdir()
    last = lines[-1] if lines else {}
    names = ["step", "epoch", "loss", *(name for name in last if name.startswith("validation_"))]
    return _csv(names, [[line.get(name, "") for name in names] for line in lines])


def _confused(table: Sequence[Sequence[int]], labels: Sequence[str]) -> Iterator[tuple[str, str]]:
    for actual, counts in zip(labels, table, strict=True):
        for predicted, count in zip(labels, counts, strict=True):
            yield from [(actual, predicted)] * count


def _csv(header: Sequence[str], rows: Any) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return file.getvalue()
