"""Metrics of all evaluated splits, and of the held-out groups."""

import numpy as np
import numpy.typing as npt

from tweetelm.data.holdout import HELD_OUT
from tweetelm.data.personas import persona
from tweetelm.evaluation import bootstrap
from tweetelm.evaluation.bootstrap import Statistic, interval
from tweetelm.evaluation.evaluate import SplitResult
from tweetelm.evaluation.fairness import ACCOUNT
from tweetelm.evaluation.intervals import wilson
from tweetelm.evaluation.report.context import ReportContext, measured
from tweetelm.evaluation.report.document import Cell, Figure, Interval, Section, Table
from tweetelm.evaluation.report.interval_plots import Row, bar_figure, errors
from tweetelm.evaluation.report.plots import confusion_figures
from tweetelm.tasks import Task, shown_metrics


def side_by_side(context: ReportContext) -> Section:
    """Metrics with a column per split, and the confusion matrices."""
    splits, task = context.evaluation.splits, context.task
    rows: list[tuple[Cell, ...]] = [("tweets", *(len(split.labels) for split in splits.values()))]
    if task.binary:
        rows += _shares(splits, task)
    for name, title in shown_metrics(task.metric).items():
        rows.append((title, *(measured(split.metrics, name) for split in splits.values())))
    if task.binary:
        rows += _of_labels(splits, task)
    text = ["Model and settings were chosen on validation. Test data were not used for any choice."]
    text += [f"AUROC on {name} is undefined: {s.metrics['auroc_missing']}." for name, s in splits.items()
             if s.metrics["auroc"] is None]  # fmt: skip
    table = Table(columns=("", *splits), rows=tuple(rows), caption="All metrics.")
    return Section(
        title=" and ".join(splits).capitalize() + (" side by side" if len(splits) > 1 else ""),
        text=tuple(text),
        tables=(
            table,
            *([] if task.binary else [_by_label(context)]),
            *(_confusion(name, split, task) for name, split in splits.items()),
        ),
        figures=(*confusion_figures(splits, task), *([] if task.binary else [_label_figure(context)])),
    )


def _shares(splits: dict[str, SplitResult], task: Task) -> list[tuple[Cell, ...]]:
    last = len(task.labels) - 1
    true = (float((split.labels == last).mean()) for split in splits.values())
    return [
        (f"true share of {task.positive}", *true),
        _row(f"predicted share of {task.positive}", splits, bootstrap.predicted_share(last)),
    ]


def _of_labels(splits: dict[str, SplitResult], task: Task) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for label, name in enumerate(task.labels):
        rows.append(_row(f"precision of {name}", splits, bootstrap.precision(label)))
        rows.append(_row(f"recall of {name}", splits, bootstrap.recall(label)))
        rows.append(_row(f"F1 of {name}", splits, bootstrap.f1(label)))
    return rows


def _by_label(context: ReportContext) -> Table:
    """A row per label of the final split, for tasks with more than two labels."""
    table = np.asarray(context.result.metrics["confusion"])
    of_label = (bootstrap.predicted_share, bootstrap.precision, bootstrap.recall, bootstrap.f1)
    rows = tuple(
        (name, int(table[label].sum()), *(interval(table, statistic(label)) for statistic in of_label))
        for label, name in enumerate(context.task.labels)
    )
    columns = ("label", "tweets", "predicted share", "precision", "recall", "F1")
    return Table(columns=columns, rows=rows, caption=f"By label on {context.final}.")


def _label_figure(context: ReportContext) -> Figure:
    """F1 of every label on the final split."""
    f1s = [(name, f1) for name, *_, f1 in _by_label(context).rows if isinstance(f1, Interval)]
    rows = [Row(label=str(name), value=f1) for name, f1 in f1s]
    reference = float(context.result.metrics["macro_f1"])
    caption = f"F1 by label on {context.final}, with 95 % intervals. Dotted: macro-F1."
    return bar_figure("labels", caption, rows, axis="F1", reference=reference)


def held_out(context: ReportContext) -> Section | None:
    """Results on the generators or personas that were held out of training."""
    split = context.evaluation.splits.get(HELD_OUT)
    if split is None:
        return None
    names = np.asarray(context.dataset[HELD_OUT][context.task.group_column])
    people = np.asarray([persona(name) for name in context.dataset[HELD_OUT][ACCOUNT]])
    tables = (_recalls("generator", names, split), _recalls("persona", people, split))
    rows = [
        errors(str(name), right)
        for table in tables
        for name, _, right in table.rows
        if isinstance(right, Interval)
    ]
    caption = "Error rate on held-out tweets by generator, then by persona, with 95 % intervals."
    figure = bar_figure("held-out", caption, rows, axis="error rate")
    rule = context.card.config["data"]["hold_out"] if context.card else "rows"
    text = (
        f"`{rule}` was held out of training and validation. This section covers the held-out rows of all "
        "three published splits; rows of test count in test, too.",
    )
    return Section(title="Held out", text=text, tables=tables, figures=(figure,))


def _recalls(kind: str, values: "npt.NDArray[np.str_]", split: SplitResult) -> Table:
    right = split.labels == split.predicted
    rows = []
    for value in sorted(set(values.tolist())):
        selected = right[values == value]
        rows.append((value, len(selected), wilson(int(selected.sum()), len(selected))))
    return Table(columns=(kind, "tweets", "accuracy"), rows=tuple(rows), caption=f"Accuracy by {kind}.")


def _row(name: str, splits: dict[str, SplitResult], statistic: Statistic) -> tuple[Cell, ...]:
    tables = (np.asarray(split.metrics["confusion"]) for split in splits.values())
    return (name, *(interval(table, statistic) for table in tables))


def _confusion(name: str, split: SplitResult, task: Task) -> Table:
    table = split.metrics["confusion"]
    rows = tuple((label, *counts) for label, counts in zip(task.labels, table, strict=True))
    columns = ("true", *(f"predicted {label}" for label in task.labels))
    return Table(columns=columns, rows=rows, caption=f"Confusion matrix on {name}.")
