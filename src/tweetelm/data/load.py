"""Reads the published splits unchanged: all rows, in order. Errors name the file and the row."""

import csv
import io
import logging
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tweetelm.data.published_files import FILES, foreign, listed
from tweetelm.files.download_cache import cached
from tweetelm.files.paths import expanded, is_url
from tweetelm.tasks import Task

if TYPE_CHECKING:
    import _csv

log = logging.getLogger(__name__)
SAMPLE = "sample"
SPLITS = ("train", "validation", "test")
_HATE_PREFIX = {"train": "train", "validation": "val", "test": "test"}
_COLUMNS = ("screen_name", "text", "account.type", "class_type")
_KAGGLE_COLUMNS = ("user_id", "status_id")
_CUT_OFF = "the file is probably truncated: download it again (`make data`)"
_REMEDY = (
    "run `make data` (or `dvc pull` at the repository root) to download it, "
    "or use the embedded synthetic sample with `--data.root sample`"
)


def load(task: Task, root: str | Path) -> DatasetDict:
    """Read the splits train, validation and test of a task.

    Columns are `text` and `label` (a ClassLabel in the task's order). Deepfake also has `screen_name` and
    `class_type` (the generator, or `human`); evaluation uses them, models never do.

    Args:
        task: the task to read.
        root: the folder or URL that contains `hate/` and `deepfake/`, or `sample` for the embedded sample.

    Raises:
        FileNotFoundError: a folder or file is missing; the message says how to download it.
        OSError: a URL cannot be reached.
        ValueError: a file is malformed; the message names the file and the row or line.
    """
    where = folder(task, root)
    if not where.is_dir():
        raise FileNotFoundError(f"{where} does not exist; {_REMEDY}")
    _warn_foreign(where, FILES[task.name])
    read = _read_hate if task.name == "hate" else _read_deepfake
    try:
        return DatasetDict({split: read(where, split, task) for split in SPLITS})
    except (FileNotFoundError, ValueError) as error:
        if not is_url(str(root)):
            raise  # for a URL, the message names the file there instead of the local copy
        raise type(error)(str(error).replace(str(where), _address(task, root))) from error


@lru_cache
def _warn_foreign(where: Path, files: tuple[str, ...]) -> None:
    """Warn about files that are not part of the data, once per process."""
    if names := foreign(where, files):
        log.warning("%s: ignored files that are not part of the data: %s", where, listed(names))


def folder(task: Task, root: str | Path) -> Path:
    """The local folder of a task's files: below `root`, or a downloaded copy if `root` is a URL.

    Raises:
        FileNotFoundError: there are no files at the URL.
    """
    if str(root) == SAMPLE:
        return Path(__file__).parent / SAMPLE / task.name
    if not is_url(str(root)):
        return Path(expanded(str(root))) / task.name
    try:
        return cached(_address(task, root), FILES[task.name])
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; copy the folder that `make data` fills to {root}") from None


def _address(task: Task, root: str | Path) -> str:
    return f"{str(root).rstrip('/')}/{task.name}"


def _features(task: Task, **columns: Value) -> Features:
    return Features({"text": Value("string"), "label": ClassLabel(names=list(task.labels)), **columns})


def _read_hate(where: Path, split: str, task: Task) -> Dataset:
    _check_mapping(where / "mapping.txt", task)
    text_file, label_file = (where / f"{_HATE_PREFIX[split]}_{kind}.txt" for kind in ("text", "labels"))
    texts, labels = _lines(text_file), _labels(label_file, len(task.labels))
    if len(texts) != len(labels):
        raise ValueError(
            f"{text_file} has {len(texts)} rows and {label_file} has {len(labels)}; "
            f"expected as many labels as texts. To repair published files, {_REMEDY}"
        )
    return Dataset.from_dict({"text": texts, "label": labels}, features=_features(task))


def _check_mapping(file: Path, task: Task) -> None:
    expected = [f"{i}\t{label}" for i, label in enumerate(task.labels)]
    if (found := _content(file).splitlines()) != expected:  # the published file ends without a newline
        raise ValueError(f"{file} contains {found}; expected {expected}")


def _labels(file: Path, classes: int) -> list[int]:
    known = {str(i): i for i in range(classes)}
    labels = _lines(file)
    for row, label in enumerate(labels, start=1):
        if label not in known:
            raise ValueError(f"{file}, row {row}: the label is {label!r}; expected one of {', '.join(known)}")
    return [known[label] for label in labels]


def _lines(file: Path) -> list[str]:
    """The rows of a file, split at LF only: a tweet may contain other line separators (U+2028, U+0085)."""
    rows = _content(file).split("\n")
    if rows[-1]:
        raise ValueError(f"{file}, row {len(rows)}: no newline at the end; {_CUT_OFF}")
    return rows[:-1]


def _content(file: Path) -> str:
    """The text of a file.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is empty, is not UTF-8, starts with a byte order mark, or contains a NUL character.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist; {_REMEDY}")
    content = file.read_bytes()
    if not content:
        raise ValueError(f"{file} is empty; expected rows")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        bad = content[error.start : error.end]
        raise ValueError(f"{file}, line {line}: bytes {bad!r} are not UTF-8 ({error.reason})") from None
    if text.startswith("\ufeff"):
        raise ValueError(f"{file}, line 1: starts with a byte order mark; expected UTF-8 without one")
    if (at := text.find("\0")) >= 0:
        raise ValueError(f"{file}, line {text.count(chr(10), 0, at) + 1}: contains a NUL character")
    return text


def _read_deepfake(where: Path, split: str, task: Task) -> Dataset:
    rows = list(_records(where / f"{split}.csv", task))
    columns = {
        "text": [row["text"] for row in rows],
        "label": [row["account.type"] for row in rows],
        "screen_name": [row["screen_name"] for row in rows],
        "class_type": [row["class_type"] for row in rows],
    }
    features = _features(task, screen_name=Value("string"), class_type=Value("string"))
    return Dataset.from_dict(columns, features=features)


def _records(file: Path, task: Task) -> Iterator[dict[str, str]]:
    """The rows of a `;`-separated file. Quoted fields may contain newlines, so rows are not lines.

    There is no escape character: in `\\"` the backslash is literal, and the quote begins a doubled quote.
    """
    content = _content(file)
    if not content.endswith("\n"):
        lines = content.count("\n") + 1
        raise ValueError(f"{file}, line {lines}: no newline at the end; {_CUT_OFF}")
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=";", strict=True)
    header = _header(next(_numbered(reader, file))[1], file)
    found = 0
    for position, fields in _numbered(reader, file, first_row=1):
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
        raise ValueError(f"{file} has a header but no rows; {_CUT_OFF}")


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


def _numbered(reader: "_csv.Reader", file: Path, first_row: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Rows with their position for messages: the file, the row (the header is row 0) and its first line."""
    row = first_row
    while True:
        position = f"{file}, row {row} (line {reader.line_num + 1})"
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cause = "a quote is not closed" if "unexpected end" in str(error) else str(error)
            raise ValueError(f"{position}: {cause}") from None
        yield position, fields
        row += 1
