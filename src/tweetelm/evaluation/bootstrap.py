"""95 % intervals by the percentile bootstrap over tweets.

Statistics of a confusion matrix are resampled from its counts: counting N tweets drawn with replacement is a
draw from a multinomial distribution. Statistics that need the rows are resampled with row weights.

Shapes: N tweets, K labels, R resamples, M statistics.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tweetelm.evaluation.report.document import Interval
from tweetelm.tasks import Task
from tweetelm.tasks.metric import parse_metric

RESAMPLES = 2000
PAIRED_RESAMPLES = 10_000
SEED = 20261121
_CELLS = 4_000_000  # numbers per chunk of resampled counts: 32 MB
_CHUNK = 250  # resamples per chunk; limits the memory of row weights

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]
Statistic = Callable[[Ints], Floats]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The lead of the first model with its interval, and the two-sided p-value."""

    interval: Interval
    p: float


def confusion(labels: Ints, predicted: Ints, classes: int = 2) -> Ints:
    """The confusion matrix (K, K): rows are true labels, columns are predicted labels."""
    cells = labels.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def accuracy(tables: Ints) -> Floats:
    """Accuracy of confusion matrices, (…, K, K) -> (…)."""
    hits: Floats = np.trace(tables, axis1=-2, axis2=-1) / tables.sum(axis=(-2, -1))
    return hits


def macro_f1(tables: Ints) -> Floats:
    """Macro-F1 of confusion matrices, (…, K, K) -> (…).

    As in scikit-learn's report, the mean over labels that occur as true or predicted labels.
    """
    hits = np.diagonal(tables, axis1=-2, axis2=-1)
    seen = tables.sum(axis=-1) + tables.sum(axis=-2)
    f1 = 2 * hits / np.maximum(seen, 1)
    mean: Floats = f1.sum(axis=-1) / (seen > 0).sum(axis=-1)
    return mean


def precision(label: int) -> Statistic:
    """Precision of a label; NaN if it was never predicted."""
    return lambda tables: _ratio(tables[..., label, label], tables[..., :, label].sum(axis=-1))


def recall(label: int) -> Statistic:
    """Recall of a label; NaN if it does not occur."""
    return lambda tables: _ratio(tables[..., label, label], tables[..., label, :].sum(axis=-1))


def f1(label: int) -> Statistic:
    """F1 of a label; NaN if it neither occurs nor was predicted."""
    return lambda tables: _ratio(
        2 * tables[..., label, label], tables[..., :, label].sum(axis=-1) + tables[..., label, :].sum(axis=-1)
    )


def predicted_share(label: int) -> Statistic:
    """The share of tweets predicted as a label."""
    return lambda tables: _ratio(tables[..., :, label].sum(axis=-1), tables.sum(axis=(-2, -1)))


def macro_recall(tables: Ints) -> Floats:
    """Mean recall over the labels that occur, (…, K, K) -> (…)."""
    recalls = np.stack([recall(label)(tables) for label in range(tables.shape[-1])], axis=-1)
    return _defined_mean(recalls)


def mean_f1(labels: Sequence[int]) -> Statistic:
    """Mean F1 of some labels, as TweetEval scores stance; a label that never occurs counts as 0."""
    return lambda tables: np.mean([np.nan_to_num(f1(label)(tables)) for label in labels], axis=0)


STATISTICS: dict[str, Statistic] = {"macro_f1": macro_f1, "accuracy": accuracy}


def headline_statistic(task: Task) -> Statistic:
    """The headline metric of a task as a function of confusion matrices, (…, K, K) -> (…)."""
    kind, ids = parse_metric(task.metric, task.labels)
    if kind in ("f1", "mean_f1"):
        return mean_f1(ids)
    return (STATISTICS | {"macro_recall": macro_recall})[kind]


def statistics_of(task: Task) -> dict[str, Statistic]:
    """The statistics of confusion matrices that are shown for a task: macro-F1, accuracy, its headline."""
    return STATISTICS | {task.metric: headline_statistic(task)}


def interval(table: Ints, statistic: Statistic, resamples: int = RESAMPLES) -> Interval | None:
    """A statistic of a confusion matrix (K, K) with its interval; None if it is undefined."""
    value = float(statistic(table))
    if not np.isfinite(value):
        return None
    draws = [statistic(chunk) for chunk in _multinomial_chunks(table, resamples)]
    return _percentiles(value, np.concatenate(draws))


def paired_difference(
    labels: Ints,
    first: Ints,
    second: Ints,
    statistic: Statistic,
    resamples: int = PAIRED_RESAMPLES,
    *,
    classes: int | None = None,
) -> Difference:
    """`statistic` of the first model's predictions (N,) minus that of the second's, on the same tweets.

    `p` is twice the smaller share of resamples with a difference at most, or at least, 0; at most 1.
    `classes` is K; by default, the largest label id that occurs, plus one.
    """
    classes = classes or int(max(labels.max(), first.max(), second.max(), 1)) + 1
    cells = (labels.astype(np.int64) * classes + first) * classes + second
    joint, counts = np.unique(cells, return_counts=True)  # few of K ** 3 cells occur
    of_first = _indicator(joint // classes, classes**2)
    of_second = _indicator(joint // classes**2 * classes + joint % classes, classes**2)

    def difference(drawn: Ints) -> Floats:
        tables = [(drawn @ cell).reshape(-1, classes, classes) for cell in (of_first, of_second)]
        found: Floats = statistic(tables[0]) - statistic(tables[1])
        return found

    generator, step = np.random.default_rng(SEED), max(1, _CELLS // max(classes**2, len(counts)))
    sizes = [min(step, resamples - begin) for begin in range(0, resamples, step)]
    drawn = (generator.multinomial(len(labels), counts / len(labels), size=size) for size in sizes)
    differences = np.concatenate([difference(some) for some in drawn])
    tails = [float((1 + tail.sum()) / (resamples + 1)) for tail in (differences <= 0, differences >= 0)]
    value = float(difference(counts[None])[0])
    return Difference(interval=_percentiles(value, differences), p=min(1.0, 2 * min(tails)))


def _indicator(columns: Ints, width: int) -> Any:
    """A sparse matrix (M, width) with a one in the given column of each row."""
    from scipy.sparse import csr_array  # not for the intervals of a training run

    rows = np.arange(len(columns))
    return csr_array((np.ones(len(columns), dtype=np.int64), (rows, columns)), shape=(len(columns), width))


def row_intervals(
    rows: int, statistic: Callable[[Floats], Floats], resamples: int = RESAMPLES
) -> list[Interval]:
    """Intervals of M statistics that need the rows.

    Args:
        rows: N.
        statistic: maps weights (R, N), the number of times each tweet was drawn, to values (R, M).
        resamples: R.
    """
    values = statistic(np.ones((1, rows), dtype=np.float32))[0]
    generator = np.random.default_rng(SEED)
    draws = [
        statistic(_weights(rows, min(_CHUNK, resamples - begin), generator))
        for begin in range(0, resamples, _CHUNK)
    ]
    found = np.concatenate(draws)
    return [_percentiles(float(value), found[:, i]) for i, value in enumerate(values)]


def auroc(positive: npt.NDArray[np.bool_], scores: Floats) -> Callable[[Floats], Floats]:
    """The area under the ROC curve for `row_intervals`; ties count half; NaN if a label is missing."""
    order = np.argsort(scores, kind="stable")
    truth = positive[order]
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])

    def statistic(weights: Floats) -> Floats:
        drawn = weights[:, order].astype(np.float64)
        up = np.add.reduceat(drawn * truth, starts, axis=1)
        down = np.add.reduceat(drawn * ~truth, starts, axis=1)
        below = down.cumsum(axis=1) - down / 2
        pairs = up.sum(axis=1) * down.sum(axis=1)
        return _ratio((up * below).sum(axis=1), pairs)[:, None]

    return statistic


def macro_auroc(labels: Ints, probabilities: Floats) -> Callable[[Floats], Floats]:
    """AUROC for `row_intervals`: of the last of two labels, else the mean over labels, one against the rest.

    A label that a resample lacks does not count there.
    """
    classes = probabilities.shape[1]
    rated = [1] if classes == 2 else [int(label) for label in np.unique(labels)]
    areas = [auroc(labels == label, probabilities[:, label]) for label in rated]
    return lambda weights: _defined_mean(np.stack([area(weights) for area in areas], axis=-1))


def _multinomial_chunks(table: Ints, resamples: int) -> Iterator[Ints]:
    """Resampled counts (R', …) in chunks of at most _CELLS numbers; their concatenation has R resamples."""
    total = int(table.sum())
    generator = np.random.default_rng(SEED)
    size = max(1, _CELLS // table.size)
    for begin in range(0, resamples, size):
        draws = generator.multinomial(total, table.ravel() / total, size=min(size, resamples - begin))
        yield draws.reshape(-1, *table.shape)


def _weights(rows: int, resamples: int, generator: np.random.Generator) -> Floats:
    drawn = generator.integers(rows, size=(resamples, rows)) + rows * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * resamples).reshape(resamples, rows).astype(np.float32)


def _percentiles(value: float, draws: Floats) -> Interval:
    """The interval from draws; ignores draws in which the statistic is undefined."""
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return Interval(value=value, low=float(low), high=float(high))


def _defined_mean(values: Floats) -> Floats:
    """The mean over the last axis of what is not NaN; NaN if nothing is defined."""
    return _ratio(np.nansum(values, axis=-1), (~np.isnan(values)).sum(axis=-1))


def _ratio(above: Any, below: Any) -> Floats:
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    found: Floats = np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)
    return found
