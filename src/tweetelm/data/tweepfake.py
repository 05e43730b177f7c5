"""Reads TweepFake: one CSV file per split."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from datasets import ClassLabel, Dataset, Features, Value

from tweetelm.data.text_file import CUT_OFF, content, numbered
from tweetelm.tasks import Task

_COLUMNS = ("screen_name", "text", "account.type", "class_type")
_KAGGLE_COLUMNS = ("user_id", "status_id")


def read_tweepfake(where: Path, split: str, task: Task) -> Dataset:
    rows = list(_records(where / f"{split}.csv", task))
    columns = {
        "text": [row["text"] for row in rows],
        "label": [row["account.type"] for row in rows],
        "screen_name": [row["screen_name"] for row in rows],
        "class_type": [row["class_type"] for row in rows],
    }
    features = Features(
        {
            "text": Value("string"),
            "label": ClassLabel(names=list(task.labels)),
            "screen_name": Value("string"),
            "class_type": Value("string"),
        }
    )
    return Dataset.from_dict(columns, features=features)


def _records(file: Path, task: Task) -> Iterator[dict[str, str]]:
    """The rows of a `;`-separated file. Quoted fields may contain newlines, so rows are not lines.

    There is no escape character: in `\\"` the backslash is literal, and the quote begins a doubled quote.
    """
    whole = content(file)
    if not whole.endswith("\n"):
        lines = whole.count("\n") + 1
        raise ValueError(f"{file}, line {lines}: no newline at the end; {CUT_OFF}")
    reader = csv.reader(io.StringIO(whole, newline=""), delimiter=";", strict=True)
    header = _header(next(numbered(reader, file))[1], file)
    found = 0
    for position, fields in numbered(reader, file, first_row=1):
        if len(fields) != len(header):
            raise ValueError(f"{position}: has {len(fields)} fields; expected {len(header)} as in the header")
        row = dict(zip(header, fields, strict=True))
        if row["account.type"] not in task.labels:
            raise ValueError(
                f"{position}: account.type is {row['account.type']!r}; "
                f"expected one of {', '.join(task.labels)}"
            )
        found += 1
        yield row
    if not found:
        raise ValueError(f"{file} has a header but no rows; {CUT_OFF}")


def _header(names: list[str], file: Path) -> list[str]:
    missing = [name for name in _COLUMNS if name not in names]
    unknown = [name for name in names if name not in _COLUMNS + _KAGGLE_COLUMNS]
    repeated = sorted({name for name in names if names.count(name) > 1})
    for fault, columns in (("lacks", missing), ("has the unknown", unknown), ("repeats", repeated)):
        if columns:
            raise ValueError(
                f"{file}, line 1: the header {fault} column {', '.join(map(repr, columns))}; expected "
                f"{';'.join(_COLUMNS)} (and optionally {' and '.join(_KAGGLE_COLUMNS)}), separated by `;`"
            )
    return names
