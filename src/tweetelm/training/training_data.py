"""Selects the training and validation rows of a run."""

import dataclasses
import shlex
from dataclasses import dataclass

import numpy as np
from datasets import Dataset, DatasetDict

from tweetelm.config.train_config import DistillConfig, PretrainConfig, TrainConfig
from tweetelm.data import Provenance, hold_out, load, provenance, training_rows
from tweetelm.data.unlabeled import UnlabeledFiles, read_unlabeled
from tweetelm.tasks import Task


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """The rows of a run.

    Attributes:
        train: training rows.
        labels: label ids of `train`; with `shuffle_labels` these differ from its column `label`.
        validation: validation rows.
        provenance: the files that the rows come from, with their hash.
        unlabeled: texts of unlabeled tweets for language modeling.
        distilled: texts of unlabeled tweets that a teacher answers.
        left_out: number of dropped training rows by reason.
    """

    train: Dataset
    labels: list[int]
    validation: Dataset
    unlabeled: list[str]
    distilled: list[str]
    provenance: Provenance
    left_out: dict[str, int]


def read_training_data(config: TrainConfig) -> TrainingData:
    """Read the files of a task and select rows by the settings in `config.data`.

    Raises:
        FileNotFoundError: a data file, or a file of unlabeled tweets, is missing.
        ValueError: a file is damaged, or a label has no training row.
    """
    task = config.task
    dataset = hold_out(load(task, config.data.root), config.data.hold_out)
    train, left_out = training_rows(dataset, drop_overlap=config.data.drop_overlap, text=config.text)
    order = np.random.default_rng(config.loop.seed).permutation(len(train))
    if config.data.limit is not None and config.data.limit < len(train):
        train = train.select(order[: config.data.limit])
    labels = np.asarray(train["label"])
    _check_labels(labels, task, config)
    if config.data.shuffle_labels:
        labels = np.random.default_rng(config.loop.seed).permutation(labels)
    unlabeled, source = _unlabeled("pretrain.text", config.pretrain, config, dataset, train)
    distilled, answered = _unlabeled("distill.text", config.distill, config, dataset, train)
    return TrainingData(
        train=train,
        labels=[int(label) for label in labels],
        validation=dataset["validation"],
        unlabeled=unlabeled,
        distilled=distilled,
        provenance=dataclasses.replace(
            provenance(task, config.data.root), unlabeled=source, distilled=answered
        ),
        left_out=left_out,
    )


def _unlabeled(
    flag: str,
    settings: PretrainConfig | DistillConfig,
    config: TrainConfig,
    dataset: DatasetDict,
    train: Dataset,
) -> tuple[list[str], UnlabeledFiles | None]:
    if not settings.text:
        return [], None
    held_out = [text for split in dataset if split != "train" for text in dataset[split]["text"]]
    return read_unlabeled(
        settings.text,
        settings.column,
        flag=flag,
        train=train["text"],
        held_out=held_out,
        text=config.text,
    )


def _check_labels(
    labels: "np.ndarray[tuple[int], np.dtype[np.int64]]", task: Task, config: TrainConfig
) -> None:
    found = set(labels.tolist())
    absent = [label for index, label in enumerate(task.labels) if index not in found]
    if absent:
        limit = f" of --data.limit {config.data.limit}" if config.data.limit else ""
        raise ValueError(
            f"none of the {len(labels)} training rows{limit} in {config.data.root} is labeled "
            f"{', '.join(absent)}; expected rows of each label ({', '.join(task.labels)}); check the data "
            f"with `python -m tweetelm.data check {task.name} --root {shlex.quote(config.data.root)}`"
        )
