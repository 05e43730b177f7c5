"""Metrics of predictions, as plain JSON data.

Shapes: N tweets, K labels in the order of `task.labels`; the last label is the positive one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tweetelm.evaluation.bootstrap import accuracy, confusion, headline_statistic, macro_f1
from tweetelm.tasks import Task

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]


def score(
    labels: Ints,
    probabilities: Floats,
    task: Task,
    groups: Sequence[str] | None = None,
    *,
    predicted: Ints | None = None,
) -> dict[str, Any]:
    """All metrics of one split, as plain JSON data.

    Args:
        labels: (N,) the true label ids.
        probabilities: (N, K) in the order of `task.labels`.
        task: the task.
        groups: N values of `task.group_column`, for accuracy by group. If a group has one label only, such as
            each generator of TweepFake, its accuracy is the recall of that group.
        predicted: (N,) predicted label ids; by default, the most probable labels.

    Returns:
        n, accuracy, macro_f1 (as in TweetEval, see `tweeteval_macro_f1`), the headline metric under its name,
        auroc (None if undefined; with more than two labels, the mean over labels of one against the rest),
        auroc_missing (why it is undefined, or None), per_class, per_group, predicted_share, confusion (rows
        true, columns predicted).

    Raises:
        ValueError: shapes do not match, a label id is unknown, or a probability is not finite.
    """
    _check(labels, probabilities, task, groups)

    predicted = probabilities.argmax(axis=1) if predicted is None else predicted
    auroc, missing = _auroc(labels, probabilities, task)
    table = confusion(labels, predicted, len(task.labels))
    found = {
        "n": len(labels),
        "accuracy": float((predicted == labels).mean()),
        "macro_f1": _macro_f1(labels, predicted),
        "auroc": auroc,
        "auroc_missing": missing,
        "per_class": _per_class(labels, predicted, task),
        "per_group": _per_group(labels, predicted, groups),
        "predicted_share": {name: float((predicted == i).mean()) for i, name in enumerate(task.labels)},
        "confusion": table.tolist(),
    }
    return {task.metric: float(headline_statistic(task)(table))} | found  # found has macro_f1 as scikit-learn


def quick_score(labels: Ints, probabilities: Floats, task: Task) -> dict[str, float]:
    """Accuracy, macro_f1 and the headline metric, in microseconds; for validation in the training loop."""
    _check(labels, probabilities, task, None)
    predicted = probabilities.argmax(axis=1)
    table = confusion(labels, predicted, len(task.labels))
    headline = float(headline_statistic(task)(table))
    return {"accuracy": float(accuracy(table)), "macro_f1": float(macro_f1(table)), task.metric: headline}


def tweeteval_macro_f1(gold: str, predictions: str) -> float:
    """TweetEval's score of a hate submission, from the contents of the two files.

    Each file has one integer per line. TweetEval splits it with ``split("\\n")[:-1]``, so the last line must
    end in a newline. The score is the macro average F1 of scikit-learn's classification_report, which
    averages over the labels that occur in either file.

    Raises:
        ValueError: the files have different numbers of lines, or none.
    """
    truth, guesses = gold.split("\n")[:-1], predictions.split("\n")[:-1]
    if len(truth) != len(guesses) or not truth:
        raise ValueError(
            f"gold has {len(truth)} lines and predictions {len(guesses)}; expected as many predictions as "
            "gold labels, one integer per line, with a newline after each line, including the last"
        )
    return _macro_f1(truth, guesses)


def _macro_f1(labels: Any, predicted: Any) -> float:

    from sklearn.metrics import classification_report

    report = classification_report(labels, predicted, output_dict=True, zero_division=0)
    return float(report["macro avg"]["f1-score"])


def _auroc(labels: Ints, probabilities: Floats, task: Task) -> tuple[float | None, str | None]:
    """AUROC of the last of two labels; of more, the mean over labels that occur, one against the rest."""
    present = np.unique(labels)
    if len(present) < 2:
        only = task.labels[int(present[0])]
        return None, f"every tweet is labeled {only}; AUROC needs both labels"

    from sklearn.metrics import roc_auc_score  # slow to import; training workers need only quick_score

    rated = [len(task.labels) - 1] if len(task.labels) == 2 else present
    areas = [roc_auc_score(labels == label, probabilities[:, label]) for label in rated]
    return float(np.mean(areas)), None


def _per_class(labels: Ints, predicted: Ints, task: Task) -> dict[str, dict[str, float]]:
    ids = range(len(task.labels))

    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(labels, predicted, labels=ids, zero_division=0)
    rows = zip(*columns, strict=True)
    return {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
        for name, (p, r, f, n) in zip(task.labels, rows, strict=True)
    }


def _per_group(labels: Ints, predicted: Ints, groups: Sequence[str] | None) -> dict[str, dict[str, float]]:
    if groups is None:
        return {}
    values, right = np.asarray([str(value) for value in groups]), predicted == labels
    return {
        str(value): {"n": int((values == value).sum()), "accuracy": float(right[values == value].mean())}
        for value in np.unique(values)
    }


def _check(labels: Ints, probabilities: Floats, task: Task, groups: Sequence[str] | None) -> None:
    expected = (len(labels), len(task.labels))
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"labels have shape {labels.shape}; expected (N,) with at least one tweet")
    if probabilities.shape != expected:
        raise ValueError(
            f"probabilities have shape {probabilities.shape}; expected {expected}: one row per tweet and "
            f"one column for each of {', '.join(task.labels)}"
        )
    if groups is not None and len(groups) != len(labels):
        raise ValueError(f"{len(groups)} groups for {len(labels)} tweets; expected one per tweet")
    unknown = sorted({int(i) for i in np.unique(labels)} - set(range(len(task.labels))))
    if unknown:
        raise ValueError(f"task {task.name} has no label ids {unknown}; expected 0 to {len(task.labels) - 1}")
    broken = int((~np.isfinite(probabilities).all(axis=1)).sum())
    if broken:
        raise ValueError(
            f"{broken} of {len(labels)} tweets have a probability that is not finite; expected finite numbers"
        )
