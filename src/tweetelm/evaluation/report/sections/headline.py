"""The result in one number, among what others reached, and against another version."""

from tweetelm.evaluation import bootstrap
from tweetelm.evaluation.report.context import NAMES, Evidence, Rival, measured
from tweetelm.evaluation.report.document import Cell, Figure, Interval, Section, Table
from tweetelm.evaluation.report.formatting import show
from tweetelm.evaluation.report.interval_plots import Row, dot_figure

OURS = "→ this model"
System = tuple[str, float | Interval | None, str]


def headline(evidence: Evidence) -> Section:
    """Ours among the published results on test, best first; on other data, beside a constant answer."""
    task, name = evidence.task, NAMES[evidence.task.metric]
    ours = measured(evidence.result.metrics, task.metric)
    others = _others(evidence)
    systems = sorted([(OURS, ours, "here"), *others], key=lambda system: -_number(system[1]))
    rule = (
        "the most probable label"
        if evidence.evaluation.threshold is None
        else "the label by the card's threshold"
    )
    text = (
        _meaning(evidence, ours, others),
        f"{task.question} Scored on {rule}. In brackets: 95 % interval by the percentile bootstrap over "
        "tweets. It covers the choice of tweets, not of the training seed.",
        task.limits,
    )
    return Section(
        title="Headline",
        text=text,
        tables=(Table(columns=("system", name, "source"), rows=tuple(systems)),),
        figures=_figures(systems, name, evidence.final),
    )


def _others(evidence: Evidence) -> list[System]:
    """Published results hold for the real test split alone."""
    if evidence.final == "test" and not evidence.provenance.synthetic:
        return [(found.system, found.value, found.source) for found in evidence.task.published]
    return [_constant(evidence)]


def _constant(evidence: Evidence) -> System:
    """The metric of answering with the more frequent label always."""
    labels = evidence.result.labels
    table = bootstrap.confusion(labels, 0 * labels)
    majority = int(table.sum(axis=1).argmax())
    table = bootstrap.confusion(labels, 0 * labels + majority)
    value = float(bootstrap.STATISTICS[evidence.task.metric](table))
    return (f"always {evidence.task.labels[majority]}", value, "here")


def _meaning(evidence: Evidence, ours: Interval | None, others: list[System]) -> str:
    """The number and what it is worth, in a sentence or two."""
    name, split = NAMES[evidence.task.metric], evidence.final
    if ours is None:
        return f"{name} on {split} is undefined."
    start = f"{name} on {split}: {show(ours)}, over {len(evidence.result.labels)} tweets."
    if len(others) == 1:
        return f"{start} To answer {others[0][0]} gives {show(others[0][1])}."
    values = [_number(value) for _, value, _ in others]
    below, above = sum(v < ours.low for v in values), sum(v > ours.high for v in values)
    return (
        f"{start} Of {len(values)} published systems and baselines, {below} lie below the interval, "
        f"{len(values) - below - above} inside it, {above} above it."
    )


def _figures(systems: list[System], name: str, split: str) -> tuple[Figure, ...]:
    rows = [
        Row(label=system, value=value, strong=system == OURS)
        for system, value, _ in systems
        if value is not None
    ]
    caption = f"{name} on {split}. Dot and whisker: this model and its 95 % interval, shaded."
    return (dot_figure("headline", caption, rows, axis=name),)


def _number(value: float | Interval | None) -> float:
    return value.value if isinstance(value, Interval) else value or 0.0


def comparison(evidence: Evidence) -> Section | None:
    """This model less the rival, on the same tweets."""
    rival = evidence.rival
    if rival is None:
        return None
    text = (
        f"Both models on the same {evidence.final} tweets, which are resampled for both together, so that what "
        f"the models have in common cancels. p: twice the share of {bootstrap.PAIRED_RESAMPLES:,} resamples in "
        "which the difference is zero or has the other sign.",
    )
    rows = _differences(evidence, rival)
    columns = ("metric", "this model", rival.version, "difference", "p")
    tables = (Table(columns=columns, rows=rows), _agreement(evidence, rival))
    marks = [
        Row(label=str(row[0]), value=row[3], strong=True) for row in rows if isinstance(row[3], Interval)
    ]
    caption = f"This model less {rival.version}, with 95 % intervals. Right of the dotted line it is better."
    figure = dot_figure("comparison", caption, marks, axis="difference", reference=0.0)
    return Section(title=f"Against {rival.version}", text=text, tables=tables, figures=(figure,))


def _differences(evidence: Evidence, rival: Rival) -> tuple[tuple[Cell, ...], ...]:
    labels, ours, theirs = evidence.result.labels, evidence.result.predicted, rival.predictions.predicted
    rows: list[tuple[Cell, ...]] = []
    for name, statistic in bootstrap.STATISTICS.items():
        found = bootstrap.paired_difference(labels, ours, theirs, statistic)
        both = (bootstrap.interval(bootstrap.confusion(labels, y), statistic) for y in (ours, theirs))
        rows.append((NAMES[name], *both, found.interval, found.p))
    return tuple(rows)


def _agreement(evidence: Evidence, rival: Rival) -> Table:
    labels = evidence.result.labels
    mine, other = evidence.result.predicted == labels, rival.predictions.predicted == labels
    counts = (
        ("both right", int((mine & other).sum())),
        ("only this model", int((mine & ~other).sum())),
        (f"only {rival.version}", int((~mine & other).sum())),
        ("neither", int((~mine & ~other).sum())),
    )
    return Table(columns=("tweets", "count"), rows=counts)
