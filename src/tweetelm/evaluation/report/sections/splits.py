"""Metrics of all evaluated splits, and of the held-out groups."""

import numpy as np
import numpy.typing as npt

from tweetelm.data.holdout import HELD_OUT
from tweetelm.data.personas import persona
from tweetelm.evaluation import bootstrap
from tweetelm.evaluation.bootstrap import Statistic, confusion, interval
from tweetelm.evaluation.evaluate import SplitResult
from tweetelm.evaluation.fairness import ACCOUNT
from tweetelm.evaluation.intervals import wilson
from tweetelm.evaluation.report.context import NAMES, ReportContext, measured
from tweetelm.evaluation.report.document import Cell, Interval, Section, Table
from tweetelm.evaluation.report.interval_plots import bar_figure, errors
from tweetelm.evaluation.report.plots import confusion_figures
from tweetelm.tasks import Task


def side_by_side(context: ReportContext) -> Section:
    """Metrics with a column per split, and the confusion matrices."""
    splits, task = context.evaluation.splits, context.task
    last = len(task.labels) - 1
    rows: list[tuple[Cell, ...]] = [
        ("tweets", *(len(split.labels) for split in splits.values())),
        (f"true share of {task.positive}", *(float((s.labels == last).mean()) for s in splits.values())),
        _row(f"predicted share of {task.positive}", splits, bootstrap.predicted_share(last)),
    ]
    rows += [(NAMES[name], *(measured(s.metrics, name) for s in splits.values())) for name in NAMES]
    for label, name in enumerate(task.labels):
        rows.append(_row(f"precision of {name}", splits, bootstrap.precision(label)))
        rows.append(_row(f"recall of {name}", splits, bootstrap.recall(label)))
        rows.append(_row(f"F1 of {name}", splits, bootstrap.f1(label)))
    text = ["Model and settings were chosen on validation. Test data were not used for any choice."]
    text += [f"AUROC on {name} is undefined: {s.metrics['auroc_missing']}." for name, s in splits.items()
             if s.metrics["auroc"] is None]  # fmt: skip
    table = Table(columns=("", *splits), rows=tuple(rows), caption="All metrics.")
    return Section(
        title=" and ".join(splits).capitalize() + (" side by side" if len(splits) > 1 else ""),
        text=tuple(text),
        tables=(table, *(_confusion(name, split, task) for name, split in splits.items())),
        figures=confusion_figures(splits, task),
    )


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
    tables = (confusion(split.labels, split.predicted) for split in splits.values())
    return (name, *(interval(table, statistic) for table in tables))


def _confusion(name: str, split: SplitResult, task: Task) -> Table:
    table = split.metrics["confusion"]
    rows = tuple((label, *counts) for label, counts in zip(task.labels, table, strict=True))
    columns = ("true", *(f"predicted {label}" for label in task.labels))
    return Table(columns=columns, rows=rows, caption=f"Confusion matrix on {name}.")
