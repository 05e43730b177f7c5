"""The headline metric among published systems and baselines."""

import numpy as np

from tweetelm.evaluation import bootstrap
from tweetelm.evaluation.report.context import ReportContext, measured
from tweetelm.evaluation.report.document import Figure, Interval, Section, Table
from tweetelm.evaluation.report.formatting import show
from tweetelm.evaluation.report.interval_plots import Row, dot_figure
from tweetelm.tasks import metric_name

THIS_MODEL = "→ this model"
System = tuple[str, float | Interval | None, str]


def headline(context: ReportContext) -> Section:
    """This model among the published systems on test, best first; on other data, with a constant baseline."""
    task, name = context.task, metric_name(context.task.metric)
    score = measured(context.result.metrics, task.metric)
    others = _others(context)
    systems = sorted([(THIS_MODEL, score, "here"), *others], key=lambda system: -_number(system[1]))
    rule = (
        "the most probable label"
        if context.evaluation.threshold is None
        else "the label by the threshold of the card"
    )
    text = (
        _meaning(context, score, others),
        f"{task.question} Predictions: {rule}. In brackets: 95 % interval by the percentile bootstrap "
        "over tweets. It does not cover the variance over training seeds.",
        task.limits,
    )
    return Section(
        title="Headline",
        text=text,
        tables=(
            Table(columns=("system", name, "source"), rows=tuple(systems), caption="Systems, best first."),
        ),
        figures=_figures(systems, name, context.final),
    )


def _others(context: ReportContext) -> list[System]:
    """Published results on the real test split; on other data the constant baseline."""
    if context.final == "test" and not context.provenance.synthetic and context.task.published:
        return [(found.system, found.value, found.source) for found in context.task.published]
    return [_constant(context)]


def _constant(context: ReportContext) -> System:
    """The score of always predicting the most frequent label."""
    labels = context.result.labels
    classes = len(context.task.labels)
    majority = int(np.bincount(labels, minlength=classes).argmax())
    table = bootstrap.confusion(labels, 0 * labels + majority, classes)
    value = float(bootstrap.headline_statistic(context.task)(table))
    return (f"always {context.task.labels[majority]}", value, "here")


def _meaning(context: ReportContext, score: Interval | None, others: list[System]) -> str:
    """The score and how it compares, in a sentence or two."""
    name, split = metric_name(context.task.metric), context.final
    if score is None:
        return f"{name} on {split} is undefined."
    start = f"{name} on {split}: {show(score)}, over {len(context.result.labels)} tweets."
    if len(others) == 1:
        return f"{start} Baseline ({others[0][0]}): {show(others[0][1])}."
    values = [_number(value) for _, value, _ in others]
    below, above = sum(v < score.low for v in values), sum(v > score.high for v in values)
    return (
        f"{start} Of {len(values)} published systems and baselines, {below} are below the interval, "
        f"{len(values) - below - above} inside it, {above} above it."
    )


def _figures(systems: list[System], name: str, split: str) -> tuple[Figure, ...]:
    rows = [
        Row(label=system, value=value, strong=system == THIS_MODEL)
        for system, value, _ in systems
        if value is not None
    ]
    caption = f"{name} on {split}. Blue: this model with its 95 % interval."
    return (dot_figure("headline", caption, rows, axis=name),)


def _number(value: float | Interval | None) -> float:
    return value.value if isinstance(value, Interval) else value or 0.0
