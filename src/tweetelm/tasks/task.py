"""A task: a question about tweets, its labels, its data, and how answers are scored."""

import json
from dataclasses import dataclass, field
from typing import ClassVar

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""OpenAI's moderation categories."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published result on the task's test split.

    Attributes:
        system: the classifier.
        value: the task's headline metric.
        source: the publication, or `measured` for our own measurement.
        per_group: accuracy by value of the task's first slice column; empty if not reported.
    """

    system: str
    value: float
    source: str
    per_group: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class SplitRule:
    """How rows without a published split are divided; the rest is the training split.

    Attributes:
        validation: share of the rows in the validation split.
        test: share of the rows in the test split.
        seed: seed of the random order.
    """

    validation: float = 0.1
    test: float = 0.2
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """The files and columns of a task of one's own.

    Either `folders` (TweetEval's layout), or `files` (one pool of rows, divided by `split`), or `train` and
    `test` with or without `validation`, each with one or more patterns. A missing `validation` is divided
    off `train`.

    Attributes:
        place: absolute folder or URL that the other paths are relative to: that of the task file.
        folders: patterns of folders with TweetEval's files, such as train_text.txt and train_labels.txt.
        files: patterns of files with all rows.
        train: patterns of files with the training rows.
        validation: patterns of files with the validation rows.
        test: patterns of files with the test rows.
        text: the column with the tweet.
        label: the column with the label.
        group: a column whose values must not be divided between splits, such as the author.
        split: the rule for `files`, and for a missing `validation`.
    """

    place: str
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    text: str = "text"
    label: str = "label"
    group: str | None = None
    split: SplitRule = field(default_factory=SplitRule)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A classification of tweets.

    Attributes:
        name: the task's name on the command line and in the registry.
        question: the question that the label answers; with two labels, the last one answers it with yes.
        labels: in the order of their ids; of two, the last one is the positive class.
        metric: the headline metric, see `tweetelm.tasks.metric`.
        dataset: the dataset's name.
        license: the terms of the data.
        license_name: the license of the data in the header of a model card.
        limits: known limits of models for this task.
        hub_dataset: the dataset's id on the Hugging Face hub.
        slices: columns by whose values results are broken down.
        suite: name of the behavioral and evasion tests, which two tasks have: `hate` or `deepfake`.
        moderation: the OpenAI moderation category of labels that have one.
        published: published results on the test split.
        data: the files of a task of one's own; None for a built-in task, which is read from `--data.root`.
    """

    name: str
    question: str
    labels: tuple[str, ...]
    metric: str
    dataset: str
    license: str
    license_name: str
    limits: str
    hub_dataset: str | None = None
    slices: tuple[str, ...] = ()
    suite: str | None = None
    moderation: tuple[tuple[str, str], ...] = ()
    published: tuple[Published, ...] = ()
    data: TaskData | None = None

    @property
    def binary(self) -> bool:
        """Whether the task has two labels; only then there is a positive class."""
        return len(self.labels) == 2

    @property
    def positive(self) -> str:
        """The label that the question asks for, of two labels."""
        return self.labels[-1]

    @property
    def group_column(self) -> str | None:
        """The first column by whose values results are broken down; None if there is none."""
        return self.slices[0] if self.slices else None

    FLAG: ClassVar[str] = "{hate,deepfake,FILE.toml}"

    @classmethod
    def parse_flag(cls, word: str) -> "Task":
        """Parse the value of `--task`: a name, a file, or a definition as JSON. Raises the errors of
        `find_task`."""
        from tweetelm.tasks.task_file import as_task  # which imports this module

        return as_task(json.loads(word) if word.startswith("{") else word)

    def __str__(self) -> str:
        return self.name
