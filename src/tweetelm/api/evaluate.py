"""`evaluate` and `compare`: metrics of models on labeled data, with 95 % intervals."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from tweetelm.api.labeled_data import ONE, scored, splits_of
from tweetelm.evaluation import evaluate as evaluation
from tweetelm.evaluation.bootstrap import confusion, headline_statistic, paired_difference
from tweetelm.evaluation.evaluate import Evaluation
from tweetelm.evaluation.report.document import Interval
from tweetelm.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the same tweets.

    Attributes:
        metric: the task's headline metric.
        first: its value for the first model.
        second: its value for the second model.
        difference: first minus second, with its paired 95 % interval (percentile bootstrap over tweets).
        p: two-sided p-value of the difference.
        tweets: number of tweets.
        split: the split.
    """

    metric: str
    first: float
    second: float
    difference: Interval
    p: float
    tweets: int
    split: str

    def __repr__(self) -> str:
        difference = self.difference
        return (
            f"Comparison({self.metric} {self.first:.4f} - {self.second:.4f} = {difference.value:+.4f} "
            f"[{difference.low:+.4f}, {difference.high:+.4f}], p = {self.p:.4f}, {self.tweets:,} tweets)"
        )


def evaluate(
    model: Predictor,
    data: Any,
    *,
    text: str = "text",
    label: str = "label",
    root: str = "data",
) -> Evaluation:
    """Predict labeled data and score the predictions.

    Args:
        model: the model.
        data: a task, its name or file, a DatasetDict, or one table of pandas, polars, pyarrow or `datasets`.
            Of several splits, all but `train` are scored; a table becomes the split `data`.
        text: the column with the texts.
        label: the column with the labels: their names, or their ids.
        root: for a built-in task, the folder or URL of the data, or `sample`.

    Returns:
        `metrics[split]` has the metrics, with their intervals in `metrics[split]["intervals"]`.

    Raises:
        FileNotFoundError: the data is missing.
        ValueError: a column is missing, a row is not a text, or a label is not one of the model's.
    """
    splits = splits_of(data, model.task, text=text, label=label, root=root)
    names = scored(list(splits))
    present = set.intersection(*(set(splits[name].column_names) for name in names))
    slices = tuple(name for name in model.task.slices if name in present)
    task = dataclasses.replace(model.task, slices=slices)
    return evaluation.evaluate(dataclasses.replace(model, task=task), splits, names)


def compare(
    a: Predictor,
    b: Predictor,
    data: Any,
    *,
    split: str | None = None,
    text: str = "text",
    label: str = "label",
    root: str = "data",
) -> Comparison:
    """Compare two models on the same tweets: the difference of the task's headline metric.

    Args:
        a: the first model.
        b: the second model, with the same labels.
        data: as in `evaluate`.
        split: the split of `data`; by default `test`, or the only one.
        text: as in `evaluate`.
        label: as in `evaluate`.
        root: as in `evaluate`.

    Raises:
        ValueError: the models have different labels, or the data does not fit; see `evaluate`.
    """
    if a.labels != b.labels:
        raise ValueError(f"the models have different labels: {', '.join(a.labels)} and {', '.join(b.labels)}")
    splits = splits_of(data, a.task, text=text, label=label, root=root)
    name = split or next((each for each in ("test", ONE) if each in splits), scored(list(splits))[-1])
    if name not in splits:
        raise ValueError(f"the data has no split {name!r}; it has {', '.join(splits)}")
    rows, position = splits[name], {each: i for i, each in enumerate(a.labels)}
    truth = np.asarray(rows["label"], dtype=np.int64)
    first, second = (
        np.asarray([position[p.label] for p in m.predict(rows["text"])], dtype=np.int64) for m in (a, b)
    )
    statistic, classes = headline_statistic(a.task), len(a.labels)
    found = paired_difference(truth, first, second, statistic, classes=classes)
    return Comparison(
        metric=a.task.metric,
        first=float(statistic(confusion(truth, first, classes))),
        second=float(statistic(confusion(truth, second, classes))),
        difference=found.interval,
        p=found.p,
        tweets=len(rows),
        split=name,
    )
