"""The predictions of other classifiers, to compare a model with row by row."""

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset

from tweetelm.config.train_config import TrainConfig
from tweetelm.evaluation.label_files import find_label_files, read_label_files
from tweetelm.evaluation.report.context import Rival
from tweetelm.evaluation.report.prediction_files import read_predictions
from tweetelm.files.names import printable
from tweetelm.registry import read_card, resolve
from tweetelm.tasks import Task


def rival_version(
    version: str | None, registry: str, data: str, task: Task, md5: str, rows: int
) -> Rival | None:
    """A published version's stored predictions of the same test rows; None without a version.

    Raises:
        FileNotFoundError: the version does not exist.
        ValueError: it was evaluated on other data.
    """
    if version is None:
        return None
    trained_on = read_card(task.name, registry=registry, version=version).data["md5"]
    if trained_on != md5:
        raise ValueError(
            f"{task.name}/{version} was evaluated on data with md5 {trained_on}, but {data} "
            f"has md5 {md5}; expected the same data; pass that data with --data, or another version"
        )
    return _stored(task, registry, version, rows)


def teacher_as_rival(config: TrainConfig, md5: str, rows: int) -> Rival | None:
    """The teacher's stored predictions of the test rows; None without one, or if it had other data."""
    teacher, registry = config.distill.teacher, config.run.registry_folder
    if teacher is None or read_card(config.task.name, registry=registry, version=teacher).data["md5"] != md5:
        return None
    return _stored(config.task, registry, teacher, rows)


def _stored(task: Task, registry: str, version: str, rows: int) -> Rival:
    folder = resolve(task.name, registry=registry, version=version)
    predictions = read_predictions(folder / "evaluation", "test", task, rows)
    return Rival(name=version, predicted=predictions.predicted)


def rival_of_files(places: Sequence[str], task: Task, test: Dataset) -> Rival:
    """Another classifier's labels of the test rows, from files."""
    files = find_label_files(places)
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return Rival(name=printable(Path(places[0]).name) + more, predicted=read_label_files(files, task, test))
