"""An evaluation as files: metrics.json, predictions-<split>.csv, report.md and plots. Same evaluation, same
bytes.

No file holds a tweet's text: predictions are row numbers and probabilities, and whoever has the data can
check every number with `recompute`.
"""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict

from tweetelm.evaluation.evaluate import Evaluation, SplitResult, groups_of, labels_of
from tweetelm.evaluation.metrics import score
from tweetelm.evaluation.plots import write_plots
from tweetelm.registry.card import Card, Provenance
from tweetelm.tasks import SYNTHETIC_NOTICE, TASKS, Task

METRICS = "metrics.json"


def write(evaluation: Evaluation, folder: Path, provenance: Provenance, card: Card | None = None) -> None:
    """Write the report into `folder`, which is made if need be; files of the same names are replaced.

    Args:
        evaluation: from `evaluate`.
        folder: where; `publish(evaluation=folder)` takes it along.
        provenance: of the data that was evaluated.
        card: the model's; without one the report cannot say whether its weights started at random.
    """
    folder.mkdir(parents=True, exist_ok=True)
    notices = [SYNTHETIC_NOTICE] * provenance.synthetic
    notices += [notice for notice in (card.notices if card else []) if notice not in notices]
    facts = {
        "task": evaluation.task.name,
        "version": evaluation.version,
        "notices": notices,
        "data_md5": provenance.md5,
        "threshold": evaluation.threshold,
        "splits": evaluation.metrics,
    }
    (folder / METRICS).write_text(json.dumps(facts, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    plots = {}
    for name, split in evaluation.splits.items():
        _write_predictions(split, evaluation.task, folder / f"predictions-{name}.csv")
        plots[name] = write_plots(split, evaluation.task, folder, name)
    (folder / "report.md").write_text(_report(evaluation, notices, plots), encoding="utf-8")


def recompute(folder: Path, dataset: DatasetDict) -> dict[str, dict[str, Any]]:
    """Metrics by split from predictions-*.csv and the data alone; equal to `splits` in metrics.json.

    Raises:
        ValueError: the predictions are not of this dataset's rows.
    """
    task = TASKS[json.loads((folder / METRICS).read_text(encoding="utf-8"))["task"]]
    names = sorted(path.stem.removeprefix("predictions-") for path in folder.glob("predictions-*.csv"))
    return {name: _recompute_split(folder / f"predictions-{name}.csv", dataset[name], task) for name in names}


def _write_predictions(split: SplitResult, task: Task, path: Path) -> None:
    """Floats are written in full, so that they read back bit for bit."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", *task.labels, "predicted"])
        for row, values, label in zip(split.rows, split.probabilities, split.predicted, strict=True):
            writer.writerow([int(row), *(repr(float(value)) for value in values), task.labels[label]])


def _recompute_split(path: Path, split: Dataset, task: Task) -> dict[str, Any]:
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    if [int(line["row"]) for line in lines] != list(range(len(split))):
        raise ValueError(
            f"{path} has {len(lines)} predictions, but the split has {len(split)} rows; expected one "
            "prediction for each row, in order: it was made from other data"
        )
    probabilities = np.asarray([[float(line[label]) for label in task.labels] for line in lines])
    predicted = np.asarray([task.labels.index(line["predicted"]) for line in lines])
    labels = labels_of(split, task)
    return score(labels, probabilities, task, groups_of(split, task), predicted=predicted)


def _report(evaluation: Evaluation, notices: list[str], plots: dict[str, list[str]]) -> str:
    task = evaluation.task
    version = f" {evaluation.version}" if evaluation.version else ""
    parts = [*notices, f"# {task.name}{version}", task.question, _headline(evaluation, notices), task.limits]
    for name, split in evaluation.splits.items():
        parts += [
            f"## {name}",
            _overall(split),
            _classes(split),
            _groups(split, task),
            _confusion(split, task),
        ]
        parts.append("\n".join(f"![{plot}]({plot})" for plot in plots[name]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _headline(evaluation: Evaluation, notices: list[str]) -> str:
    """Ours among the published results on test, best first; alone where the data are synthetic."""
    task = evaluation.task
    rows = [(f"**this model** ({name})", split.metrics[task.metric], "here")
            for name, split in evaluation.splits.items()]  # fmt: skip
    if SYNTHETIC_NOTICE not in notices:
        rows = [row for row in rows if "test" in row[0]] + [
            (p.system, p.value, p.source) for p in task.published
        ]
        rows.sort(key=lambda row: -row[1])
    return _table(["system", task.metric, "source"], [[name, f"{value:.3f}", by] for name, value, by in rows])


def _overall(split: SplitResult) -> str:
    m = split.metrics
    auroc = f"{m['auroc']:.4f}" if m["auroc"] is not None else f"undefined: {m['auroc_missing']}"
    shares = ", ".join(f"{share:.1%} {label}" for label, share in m["predicted_share"].items())
    return (
        f"{m['n']:,} tweets: accuracy {m['accuracy']:.4f}, macro-F1 {m['macro_f1']:.4f}, AUROC {auroc}. "
        f"Predicted: {shares}."
    )


def _classes(split: SplitResult) -> str:
    columns = ["precision", "recall", "f1"]
    rows = [[label, *(f"{m[c]:.3f}" for c in columns), str(m["support"])]
            for label, m in split.metrics["per_class"].items()]  # fmt: skip
    return _table(["label", *columns, "tweets"], rows)


def _groups(split: SplitResult, task: Task) -> str:
    groups = split.metrics["per_group"]
    rows = [[name, f"{m['accuracy']:.3f}", str(m["n"])] for name, m in groups.items()]
    return _table([str(task.group_column), "accuracy", "tweets"], rows) if rows else ""


def _confusion(split: SplitResult, task: Task) -> str:
    table = split.metrics["confusion"]
    rows = [[label, *map(str, counts)] for label, counts in zip(task.labels, table, strict=True)]
    return _table(["true \\ predicted", *task.labels], rows)


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
