"""Labeled data of a notebook, as splits with the columns `text` and `label` in the order of a task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tweetelm.data import load
from tweetelm.prediction.frames import column, column_names, kind_of, texts_of
from tweetelm.tasks import Task, as_task

ONE = "data"  # the name of a single split


def splits_of(data: Any, task: Task, *, text: str, label: str, root: str) -> DatasetDict:
    """The splits of a task, its name or file, a DatasetDict, or one table, which becomes the split `data`.

    Raises:
        FileNotFoundError: the task's files are missing.
        ValueError: a column is missing, a row is not a text, or a label is not one of the task's.
    """
    if isinstance(data, str | Path | Task):
        wanted = as_task(str(data) if isinstance(data, Path) else data)
        if wanted.labels != task.labels:
            raise ValueError(
                f"task {wanted.name} has the labels {', '.join(wanted.labels)}, but the model has "
                f"{', '.join(task.labels)}; expected data of task {task.name}"
            )
        return load(wanted, root)
    if isinstance(data, DatasetDict):
        return DatasetDict({name: labeled(split, task, text, label) for name, split in data.items()})
    return DatasetDict({ONE: labeled(data, task, text, label)})


def labeled(table: Any, task: Task, text: str, label: str) -> Any:
    """A Dataset with the texts of a table in the column `text` and label ids in the column `label`.

    Raises:
        ValueError: see `splits_of`.
    """
    texts = texts_of(table, text)
    if not texts:
        raise ValueError("the table has no rows; expected labeled texts")
    if kind_of(table) == "datasets" and _as_loaded(table, task, text, label):
        return table
    ids = _ids(table, task, label)
    present = [name for name in task.slices if name in column_names(table)]
    kept = {name: [str(value) for value in _plain(column(table, name))] for name in present}
    kinds = {"text": Value("string"), "label": ClassLabel(names=list(task.labels))}
    features = Features(kinds | dict.fromkeys(kept, Value("string")))
    return Dataset.from_dict({"text": texts, "label": ids, **kept}, features=features)


def _as_loaded(table: Any, task: Task, text: str, label: str) -> bool:
    """Whether a dataset has the columns that `tweetelm.data.load` gives it."""
    names = getattr(table.features.get("label"), "names", None)
    return (text, label) == ("text", "label") and names == list(task.labels) and min(table["label"]) >= 0


def _ids(table: Any, task: Task, name: str) -> list[int]:
    values = _plain(column(table, name))
    names = getattr(table.features[name], "names", None) if kind_of(table) == "datasets" else None
    if names:
        values = [names[value] if value is not None else None for value in values]
    known = {label: index for index, label in enumerate(task.labels)}
    wrong = next((row for row, value in enumerate(values) if not _is_label(value, known)), None)
    if wrong is not None:
        raise ValueError(
            f"row {wrong} (counted from 0) has the label {values[wrong]!r}; expected one of "
            f"{', '.join(task.labels)}, or a label id from 0 to {len(known) - 1}"
        )
    return [known[value] if isinstance(value, str) else int(value) for value in values]


def _plain(values: Any) -> list[Any]:
    """A column as Python values."""
    for method in ("to_pylist", "tolist", "to_list"):
        if hasattr(values, method):
            return list(getattr(values, method)())
    return list(values)


def _is_label(value: Any, known: dict[str, int]) -> bool:
    if isinstance(value, str):
        return value in known
    return isinstance(value, int | float) and value in range(len(known)) and not isinstance(value, bool)


def scored(splits: Sequence[str]) -> list[str]:
    """The splits to score: all but train, unless there is nothing else."""
    return [name for name in splits if name != "train"] or list(splits)
