"""Reads the splits of a task: all rows, in order. Errors name the file and the row."""

import dataclasses
import logging
from functools import lru_cache
from pathlib import Path

from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tweetelm.config.sections import DataConfig
from tweetelm.data.own_data import SPLITS, load_own
from tweetelm.data.published_files import FILES, foreign, listed
from tweetelm.data.source_files import find_folders
from tweetelm.data.text_file import REMEDY
from tweetelm.data.tweepfake import read_tweepfake
from tweetelm.data.tweeteval import read_tweeteval
from tweetelm.files.download_cache import cached
from tweetelm.files.paths import expanded, is_url, located
from tweetelm.tasks import Task, TaskData

__all__ = ["SAMPLE", "SPLITS", "folder", "load", "missing_data", "own_source"]

log = logging.getLogger(__name__)
SAMPLE = "sample"


def load(task: Task, root: str | Path) -> DatasetDict:
    """Read the splits train, validation and test of a task.

    Columns are `text` and `label` (a ClassLabel in the task's order). Deepfake also has `screen_name` and
    `class_type` (the generator, or `human`), and a task of one's own has its group and slices; evaluation
    uses them, models never do.

    Args:
        task: the task to read.
        root: for a built-in task, the folder or URL that contains `hate/` and `deepfake/`, or `sample` for
            the embedded sample. For a task of one's own, see `own_source`.

    Raises:
        FileNotFoundError: a folder or file is missing; the message says how to download it.
        OSError: a URL cannot be reached.
        ValueError: a file is malformed; the message names the file and the row or line.
    """
    if task.data is not None:
        return load_own(task, own_source(task, root))
    where = folder(task, root)
    if not where.is_dir():
        raise FileNotFoundError(f"{where} does not exist; {REMEDY}")
    _warn_foreign(where, FILES[task.name])
    read = _read_hate if task.name == "hate" else read_tweepfake
    try:
        return DatasetDict({split: read(where, split, task) for split in SPLITS})
    except (FileNotFoundError, ValueError) as error:
        if not is_url(str(root)):
            raise  # for a URL, the message names the file there instead of the local copy
        raise type(error)(str(error).replace(str(where), _address(task, root))) from error


def own_source(task: Task, root: str | Path) -> TaskData:
    """The files of a task of one's own, with paths relative to its file, or to `root` unless that is `data`.

    Raises:
        ValueError: `root` is `sample`, or the task has no files.
    """
    if task.data is None:
        raise ValueError(f"task {task.name} has no files of its own")
    if str(root) == SAMPLE:
        raise ValueError(
            f"the embedded sample has the tasks {' and '.join(FILES)} only; omit the data folder to read the "
            f"files of the task {task.name}"
        )
    if str(root) == DataConfig().root:
        return task.data
    return dataclasses.replace(task.data, place=located(str(root)))


def missing_data(task: Task, root: str | Path) -> str:
    """Why a task's folders are not there; empty if they are. Files outside of folders are not looked for."""
    try:
        if task.data is None:
            where = folder(task, root)
            return "" if where.is_dir() else f"{where} does not exist"
        if task.data.folders:
            find_folders(own_source(task, root))
    except FileNotFoundError as error:
        return str(error)
    return ""


@lru_cache
def _warn_foreign(where: Path, files: tuple[str, ...]) -> None:
    """Warn about files that are not part of the data, once per process."""
    if names := foreign(where, files):
        log.warning("%s: ignored files that are not part of the data: %s", where, listed(names))


def folder(task: Task, root: str | Path) -> Path:
    """The local folder of a built-in task's files: below `root`, or a downloaded copy if `root` is a URL.

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


def _read_hate(where: Path, split: str, task: Task) -> Dataset:
    texts, labels = read_tweeteval(where, split, task)
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(task.labels))})
    return Dataset.from_dict({"text": texts, "label": labels}, features=features)
