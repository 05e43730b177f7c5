"""Reads the data of a task of one's own, by its task file."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tweetelm.data.source_files import POOL, TEXTS, find_files, find_folders
from tweetelm.data.splits import divide
from tweetelm.data.tables import read_rows
from tweetelm.data.tweeteval import PREFIX, read_tweeteval
from tweetelm.files.hashing import md5
from tweetelm.tasks import Task, TaskData

SPLITS = tuple(PREFIX)
FOLDER = "folder"  # the column with the name of the folder, of data in TweetEval's layout
_REPAIR = ("check the folder", "the file is probably truncated: copy it again")
Columns = dict[str, list[str]]
"""Values by column. The columns of a split are `text`, `label` and the task's group and slices."""


def load_own(task: Task, data: TaskData) -> DatasetDict:
    """Read and divide the rows of a task file; the columns are `text`, `label`, the group and the slices.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is malformed, a label is unknown, or a split has no row.
    """
    parts = _from_folders(task, data) if data.folders else _from_tables(task, data)
    dataset = DatasetDict({name: _dataset(task, parts[name]) for name in SPLITS})
    for name, split in dataset.items():
        if not len(split):
            raise ValueError(
                f"task {task.name} has no row for {name}; expected at least one: add rows, or change [data] "
                "split in its file"
            )
    return dataset


def own_md5(task: Task, data: TaskData) -> str:
    """Hash of the files, and of the columns and rules by which they are read, in the form of DVC's hashes."""
    files = [file for part in _files(data).values() for file in part]
    rules = dataclasses.asdict(dataclasses.replace(data, place=""))
    listing = [{"md5": md5(file), "relpath": _relative(file, data.place)} for file in files]
    whole = {"files": listing, "labels": task.labels, "rules": rules}
    return md5(json.dumps(whole, sort_keys=True).encode()) + ".dir"


def _relative(file: Path, place: str) -> str:
    return file.relative_to(place).as_posix() if file.is_relative_to(place) else file.name


def _files(data: TaskData) -> dict[str, list[Path]]:
    if not data.folders:
        return find_files(data)
    return {f"{folder}": [folder / name for name in TEXTS] for folder in find_folders(data)}


def _from_folders(task: Task, data: TaskData) -> dict[str, Columns]:
    if unknown := [name for name in task.slices if name != FOLDER]:
        raise ValueError(f"data.slices names {unknown[0]}; data in folders has the column {FOLDER} only")
    parts: dict[str, Columns] = {}
    for split in SPLITS:
        columns: Columns = {"text": [], "label": [], FOLDER: []}
        for folder in find_folders(data):
            texts, labels = read_tweeteval(folder, split, task, _REPAIR)
            columns["text"] += texts
            columns["label"] += [task.labels[label] for label in labels]
            columns[FOLDER] += [folder.name] * len(texts)
        parts[split] = columns if task.slices else {name: columns[name] for name in ("text", "label")}
    return parts


def _from_tables(task: Task, data: TaskData) -> dict[str, Columns]:
    parts = {name: _read(task, data, files) for name, files in find_files(data).items()}
    if POOL in parts:
        return _divided(task, data, parts[POOL], test=True)
    if "validation" not in parts:
        parts |= {
            name: columns
            for name, columns in _divided(task, data, parts["train"], test=False).items()
            if name != "test"
        }
    return parts


def _read(task: Task, data: TaskData, files: Sequence[Path]) -> Columns:
    """The wanted columns of all files; the columns of text and label get these names."""
    kept = dict.fromkeys(([data.group] if data.group else []) + list(task.slices))
    others = [name for name in kept if name not in (data.text, data.label)]
    if taken := [name for name in others if name in ("text", "label")]:
        raise ValueError(
            f"the column {taken[0]} is a group or slice, but not the {taken[0]} of a tweet; rename it in the "
            "files and in the task file"
        )
    names = ["text", "label", *others]
    columns: Columns = {name: [] for name in names}
    known = set(task.labels)
    for file in files:
        for position, values in read_rows(file, [data.text, data.label, *others]):
            if values[1] not in known:
                raise ValueError(f"{position}: {data.label} is {values[1]!r}; expected {_expected(task)}")
            for name, value in zip(names, values, strict=True):
                columns[name].append(value)
    return columns


def _expected(task: Task) -> str:
    more = f" and {len(task.labels) - 20} more" if len(task.labels) > 20 else ""
    known = ", ".join(task.labels[:20])
    return f"one of {known}{more}; add it to `labels` in the task file, or correct the row"


def _divided(task: Task, data: TaskData, rows: Columns, *, test: bool) -> dict[str, Columns]:
    groups = rows[_name(data.group, data)] if data.group else None
    labels = [task.labels.index(label) for label in rows["label"]]
    split = divide(rows["text"], labels, groups, data.split, test=test)
    return {name: _selected(rows, np.flatnonzero(split == i)) for i, name in enumerate(SPLITS)}


def _name(column: str, data: TaskData) -> str:
    return {data.text: "text", data.label: "label"}.get(column, column)


def _selected(rows: Mapping[str, list[str]], chosen: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Columns:
    return {name: [values[row] for row in chosen] for name, values in rows.items()}


def _dataset(task: Task, columns: Columns) -> Dataset:
    others = {name: Value("string") for name in columns if name not in ("text", "label")}
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(task.labels)), **others})
    return Dataset.from_dict(columns, features=features)
