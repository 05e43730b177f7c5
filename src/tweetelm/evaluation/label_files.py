"""Reads another classifier's predictions of a test split: files with one label per line, as TweetEval's
authors publish theirs."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from tweetelm.data.own_data import FOLDER
from tweetelm.data.text_file import content
from tweetelm.files.paths import expanded
from tweetelm.tasks import Task

_EXPECTED = "expected a file with one predicted label per line, or a folder of such files (*.txt)"


def find_label_files(places: Sequence[str]) -> list[Path]:
    """The files in the given order; of a folder, its *.txt files, sorted by name.

    Raises:
        FileNotFoundError: a path does not exist, or a folder has no such file.
    """
    found: list[Path] = []
    for place in places:
        path = Path(expanded(place))
        files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
        if not files:
            raise FileNotFoundError(f"{path} has no *.txt file; {_EXPECTED}")
        found += files
    return found


def read_label_files(files: Sequence[Path], task: Task, test: Dataset) -> npt.NDArray[np.int64]:
    """Predicted label ids (N,) of the rows of a test split, in order.

    A line has a label's name or its id. Several files follow one another; data in several folders, such as
    the targets of stance, has one file per folder.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a label is unknown, or the number of lines is not that of the rows.
    """
    parts = [_read(file, task) for file in files]
    _check_counts(dict(zip(map(str, files), map(len, parts), strict=True)), task, test)
    return np.asarray([label for part in parts for label in part], dtype=np.int64)


def _read(file: Path, task: Task) -> list[int]:
    ids = {str(number): number for number in range(len(task.labels))}
    known = ids | {label: number for number, label in enumerate(task.labels)}  # a name wins over an id
    labels = [line.strip() for line in content(file, _EXPECTED, mark=True).splitlines()]
    for number, label in enumerate(labels, start=1):
        if label not in known:
            names = ", ".join(task.labels[:20]) + (", …" if len(task.labels) > 20 else "")
            raise ValueError(
                f"{file}, line {number}: the label is {label!r}; expected an id from 0 to {len(ids) - 1}, or "
                f"a name: {names}"
            )
    return [known[label] for label in labels]


def _check_counts(counts: dict[str, int], task: Task, test: Dataset) -> None:
    lines = sum(counts.values())
    if lines != len(test):
        raise ValueError(
            f"{', '.join(counts)}: {lines} lines, but the test split of {task.name} has {len(test)} rows; "
            "expected one predicted label per row, in the order of the test split"
        )
    folders = Counter(test[FOLDER]) if FOLDER in test.column_names else {}
    if len(counts) > 1 and folders and list(counts.values()) != list(folders.values()):
        found = ", ".join(f"{file} ({number} lines)" for file, number in counts.items())
        wanted = ", ".join(f"{folder} ({number})" for folder, number in folders.items())
        raise ValueError(f"the files are {found}; expected one per folder, in this order: {wanted}")
