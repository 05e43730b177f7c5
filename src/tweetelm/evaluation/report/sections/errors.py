"""Error rates by group, and the most confident errors by row number."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tweetelm.evaluation.evaluate import SplitResult
from tweetelm.evaluation.fairness import FEWEST
from tweetelm.evaluation.report.context import ReportContext
from tweetelm.evaluation.report.document import Figure, Interval, Section, Table
from tweetelm.evaluation.report.interval_plots import Row, bar_figure

WORST = 20
_WHAT = {
    "hate": ("false positives among not-hate tweets, by the group they name", "names"),
    "deepfake": ("errors, by persona", "persona"),
}


def bias(context: ReportContext) -> Section:
    """Error rates by the group that a tweet names (hate) or the persona that it imitates (deepfake)."""
    groups = context.result.metrics["error_rates"]
    ordered = sorted(groups, key=lambda group: (group["label"], *_worst_first(group)))
    rows = tuple(
        (group["group"] or "all", group["label"], group["tweets"], _rate(group)) for group in ordered
    )
    what, by = _WHAT.get(context.task.suite or "", ("errors, by the group of people they name", "names"))
    text = [f"Share of {what}, on {context.final}. Groups with fewer than {FEWEST} tweets are not listed."]
    if not any(group["group"] for group in groups):
        text.append("No group is large enough.")
    columns = (by, "true label", "tweets", "error rate")
    return Section(
        title="Error rates by group",
        text=tuple(text),
        tables=(Table(columns=columns, rows=rows, caption="Error rates."), *_spread(context)),
        figures=tuple(_group_figure(label, groups) for label, groups in _by_label(context).items()),
    )


def _rate(group: dict[str, Any]) -> Interval:
    return Interval(value=group["rate"], low=group["low"], high=group["high"])


def _worst_first(group: dict[str, Any]) -> tuple[bool, float]:
    """Sort key: all tweets of the label, then groups by descending error rate."""
    return (group["group"] != "", -group["rate"])


def _by_label(context: ReportContext) -> dict[str, list[dict[str, Any]]]:
    """Error rates of all tweets and of each group, by true label; labels without groups are left out."""
    rates = context.result.metrics["error_rates"]
    by_label = {
        label: sorted((group for group in rates if group["label"] == label), key=_worst_first)
        for label in context.task.labels
    }
    return {label: groups for label, groups in by_label.items() if len(groups) > 1}


def _group_figure(label: str, groups: list[dict[str, Any]]) -> Figure:
    """A bar for all tweets of a true label, then one per group, highest error rate first."""
    rows = [
        Row(label=group["group"] or f"all {label} tweets", value=_rate(group), strong=not group["group"])
        for group in groups
    ]
    axis = f"error rate on {label} tweets"
    caption = f"Error rate on {label} tweets, with 95 % intervals. Dotted: all {label} tweets."
    return bar_figure(f"groups-{label}", caption, rows, axis=axis, reference=groups[0]["rate"])


def _spread(context: ReportContext) -> list[Table]:
    """Spread of the error rate over groups, per true label with at least two groups."""
    rows = []
    for label, groups in _by_label(context).items():
        rates = [group["rate"] for group in groups if group["group"]]
        if len(rates) > 1:
            rows.append((label, len(rates), float(min(rates)), float(np.median(rates)), float(max(rates))))
    columns = ("true label", "groups", "lowest", "median", "highest")
    caption = "Spread of the error rate over groups."
    return [Table(columns=columns, rows=tuple(rows), caption=caption)] if rows else []


def worst_errors(context: ReportContext) -> Section:
    """The most confident wrong predictions."""
    split, labels = context.result, context.task.labels
    rows = tuple(
        (context.final, int(row), labels[split.labels[row]], labels[split.predicted[row]],
         float(split.probabilities[row, split.predicted[row]]))
        for row in worst(split)
    )  # fmt: skip
    text = ("Row 0 is the first row of the split. To print the tweets (needs the data): "
            f"`python -m ray_jobs.evaluate --task {context.task.name} --show-text`.",)  # fmt: skip
    columns = ("split", "row", "true", "predicted", "probability")
    return Section(
        title="Worst errors",
        text=text,
        tables=(Table(columns=columns, rows=rows, caption="Errors, most confident first."),),
    )


def worst(split: SplitResult, count: int = WORST) -> npt.NDArray[np.int64]:
    """Row numbers of wrong predictions, the most confident first."""
    wrong = np.flatnonzero(split.predicted != split.labels)
    confidence = split.probabilities[wrong, split.predicted[wrong]]
    return wrong[np.argsort(-confidence, kind="stable")[:count]]
