"""A task: a question about tweets, its labels, and how answers are scored."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published result on the task's test split.

    Attributes:
        system: the classifier.
        value: the task's headline metric.
        source: the publication, or `measured` for our own measurement.
        per_group: accuracy by value of the task's group column; empty if not reported.
    """

    system: str
    value: float
    source: str
    per_group: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Task:
    """A classification of tweets.

    Attributes:
        name: the task's name on the command line and in the registry.
        question: the question that the positive label answers with yes.
        labels: in the order of their ids; the last one is the positive class.
        metric: the headline metric, see `tweetelm.tasks.metric`.
        dataset: the dataset's name.
        license: the terms of the data.
        license_name: the license of the data in the header of a model card.
        limits: known limits of models for this task.
        hub_dataset: the dataset's id on the Hugging Face hub.
        group_column: the dataset column by whose values results are broken down.
        published: published results on the test split.
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
    group_column: str | None = None
    published: tuple[Published, ...] = ()

    @property
    def positive(self) -> str:
        """The label that the question asks for."""
        return self.labels[-1]
