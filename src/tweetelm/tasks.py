"""The two tasks of tweetelm, with published results on their test splits."""

from dataclasses import dataclass
from typing import Literal

TaskName = Literal["hate", "deepfake"]
SYNTHETIC_NOTICE = "synthetic sample: says nothing about tweets"


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
    """A binary classification of tweets.

    Attributes:
        name: the task's name on the command line and in the registry.
        question: the question that the positive label answers with yes.
        labels: in the order of their ids; the last one is the positive class.
        metric: the headline metric, a key of `tweetelm.evaluation.metrics.score`.
        dataset: the dataset's name.
        license: the terms of the data.
        license_name: the license of the data in the header of a model card.
        limits: known limits of models for this task.
        hub_dataset: the dataset's id on the Hugging Face hub.
        group_column: the dataset column by whose values results are broken down.
        published: published results on the test split.
    """

    name: TaskName
    question: str
    labels: tuple[str, str]
    metric: Literal["macro_f1", "accuracy"]
    dataset: str
    license: str
    license_name: str
    limits: str
    hub_dataset: str | None = None
    group_column: str | None = None
    published: tuple[Published, ...] = ()

    @property
    def positive(self) -> str:
        return self.labels[-1]


HATE = Task(
    name="hate",
    question="Is this tweet hate speech?",
    labels=("not-hate", "hate"),
    metric="macro_f1",
    dataset="TweetEval hate (HatEval, SemEval-2019 task 5)",
    license="CC BY-NC 4.0 (HatEval): non-commercial use only",
    license_name="cc-by-nc-4.0",
    hub_dataset="cardiffnlp/tweet_eval",
    limits="English tweets of 2018, hate against women or immigrants only. Training and test differ "
    "strongly: models predict hate far too often on the test split. Not for automated moderation or for "
    "action against a person.",
    published=(
        Published(system="majority class", value=0.367, source="measured"),
        Published(system="TF-IDF words, linear SVM", value=0.443, source="measured"),
        Published(system="TF-IDF words, logistic regression", value=0.446, source="measured"),
        Published(system="SVM", value=0.367, source="TweetEval README"),
        Published(system="RoBERTa-base", value=0.466, source="TweetEval README"),
        Published(system="RoBERTa, from scratch on tweets", value=0.499, source="TweetEval README"),
        Published(system="FastText", value=0.506, source="TweetEval README"),
        Published(system="RoBERTa, further trained on tweets", value=0.523, source="TweetEval README"),
        Published(system="LSTM", value=0.526, source="TweetEval README"),
        Published(system="BERTweet", value=0.564, source="TweetEval README"),
    ),
)

DEEPFAKE = Task(
    name="deepfake",
    question="Did a machine write this tweet?",
    labels=("human", "bot"),
    metric="accuracy",
    dataset="TweepFake",
    license="no license stated by the TweepFake repository: fetch it from its authors, do not "
    "redistribute it",
    license_name="tweepfake-without-licence",
    limits="17 people and 23 bots with generators up to 2020 (GPT-2, RNN, Markov chains). 16 formatting "
    "counts alone reach .852 accuracy; recall on an unseen generator is .18 to .31. A bot verdict is no "
    "evidence about an author.",
    group_column="class_type",
    published=(
        Published(system="majority class", value=0.500, source="measured"),
        Published(system="TF-IDF words and characters, linear SVM, raw text", value=0.851, source="measured"),
        Published(
            system="TF-IDF words and characters, linear SVM, links and mentions masked",
            value=0.840,
            source="measured",
        ),
        Published(system="16 formatting counts, gradient boosting", value=0.852, source="measured"),
        Published(system="bag of words, linear SVM", value=0.811, source="TweepFake authors"),
        Published(system="character CNN", value=0.851, source="TweepFake authors"),
        Published(
            system="character GRU",
            value=0.830,
            source="TweepFake authors",
            per_group=(("human", 0.748), ("gpt2", 0.818), ("rnn", 0.966), ("others", 0.952)),
        ),
        Published(system="XLNet", value=0.876, source="TweepFake authors"),
        Published(system="DistilBERT", value=0.886, source="TweepFake authors"),
        Published(
            system="BERT",
            value=0.896,
            source="TweepFake authors",
            per_group=(("human", 0.875), ("gpt2", 0.768), ("rnn", 0.998), ("others", 0.948)),
        ),
        Published(
            system="RoBERTa",
            value=0.905,
            source="TweepFake authors",
            per_group=(("human", 0.904), ("gpt2", 0.742), ("rnn", 0.988), ("others", 0.942)),
        ),
    ),
)

TASKS: dict[str, Task] = {task.name: task for task in (HATE, DEEPFAKE)}
