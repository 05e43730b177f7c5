"""On whom errors fall, and the worst of them by row; whoever has the data finds the tweets there."""

import numpy as np
import numpy.typing as npt

from tweetelm.evaluation.evaluate import SplitResult
from tweetelm.evaluation.fairness import FEWEST
from tweetelm.evaluation.report.context import Evidence
from tweetelm.evaluation.report.document import Figure, Interval, Section, Table
from tweetelm.evaluation.report.interval_plots import Row, bar_figure

WORST = 20


def bias(evidence: Evidence) -> Section:
    """Error rates by the people a tweet names (hate) or imitates (deepfake)."""
    rates = evidence.result.metrics["error_rates"]
    rows = tuple(
        (
            found["group"] or "all",
            found["label"],
            found["tweets"],
            Interval(value=found["rate"], low=found["low"], high=found["high"]),
        )
        for found in sorted(rates, key=lambda found: (found["label"], found["group"] != "", -found["rate"]))
    )
    hate = evidence.task.name == "hate"
    by = "names" if hate else "persona"
    what = (
        "not-hate tweets taken for hate, by the people they name" if hate else "tweets mistaken, by persona"
    )
    text = [f"The share of {evidence.final} {what}; groups of fewer than {FEWEST} such tweets are left out."]
    spread = [found["rate"] for found in rates if found["group"]]
    if not spread:
        text.append("No group is large enough here.")
    table = Table(columns=(by, "true label", "tweets", "share mistaken"), rows=rows)
    return Section(
        title="On whom errors fall",
        text=tuple(text),
        tables=(table, *_spread(evidence)),
        figures=_group_figures(evidence),
    )


def _group_figures(evidence: Evidence) -> tuple[Figure, ...]:
    """Per true label that has groups: a bar for all its tweets, then one per group, worst first."""
    figures = []
    for label in evidence.task.labels:
        rates = [found for found in evidence.result.metrics["error_rates"] if found["label"] == label]
        rates.sort(key=lambda found: (found["group"] != "", -found["rate"]))
        if len(rates) > 1:
            rows = [
                Row(
                    label=found["group"] or f"all {label} tweets",
                    value=Interval(value=found["rate"], low=found["low"], high=found["high"]),
                    strong=not found["group"],
                )
                for found in rates
            ]
            caption = f"Share of {label} tweets mistaken, with 95 % intervals. Dotted: all {label} tweets."
            axis = f"share of {label} tweets mistaken"
            name = f"groups-{label}"
            figures.append(bar_figure(name, caption, rows, axis=axis, reference=rates[0]["rate"]))
    return tuple(figures)


def _spread(evidence: Evidence) -> list[Table]:
    """How unequal the groups are, per true label."""
    rows = []
    for label in evidence.task.labels:
        rates = [found["rate"] for found in evidence.result.metrics["error_rates"]
                 if found["group"] and found["label"] == label]  # fmt: skip
        if len(rates) > 1:
            rows.append((label, len(rates), float(min(rates)), float(np.median(rates)), float(max(rates))))
    columns = ("true label", "groups", "lowest", "median", "highest")
    return [Table(columns=columns, rows=tuple(rows), caption="Spread over groups.")] if rows else []


def worst_errors(evidence: Evidence) -> Section:
    """Wrong labels told with the most confidence."""
    split, labels = evidence.result, evidence.task.labels
    rows = tuple(
        (evidence.final, int(row), labels[split.labels[row]], labels[split.predicted[row]],
         float(split.probabilities[row, split.predicted[row]]))
        for row in worst(split)
    )  # fmt: skip
    text = ("Row 0 is the first of the split. To read the tweets, where the data are: "
            f"`python -m ray_jobs.evaluate --task {evidence.task.name} --show-text`.",)  # fmt: skip
    columns = ("split", "row", "true", "told", "its probability")
    return Section(title="Worst errors", text=text, tables=(Table(columns=columns, rows=rows),))


def worst(split: SplitResult, count: int = WORST) -> npt.NDArray[np.int64]:
    """Row numbers of wrong labels, the most confidently told first."""
    wrong = np.flatnonzero(split.predicted != split.labels)
    confidence = split.probabilities[wrong, split.predicted[wrong]]
    return wrong[np.argsort(-confidence, kind="stable")[:count]]
