"""The comparison with another classifier on the same tweets: a published version, or a file of labels."""

from tweetelm.evaluation import bootstrap
from tweetelm.evaluation.report.context import ReportContext, Rival
from tweetelm.evaluation.report.document import Cell, Interval, Section, Table
from tweetelm.evaluation.report.interval_plots import Row, dot_figure
from tweetelm.evaluation.report.paired_errors import PairedErrors, errors_file, paired_errors
from tweetelm.tasks import metric_name


def comparison(context: ReportContext) -> Section | None:
    """This model minus the rival, on the same tweets."""
    rival = context.rival
    if rival is None:
        return None
    found = paired_errors(context.result, rival.predicted)
    text = (
        f"Both models on the same {context.final} tweets, resampled for both together (paired bootstrap). "
        f"p: twice the share of {bootstrap.PAIRED_RESAMPLES:,} resamples in which the difference is zero or "
        "has the other sign.",
        f"On {len(found.first)} tweets only this model errs, on {len(found.second)} only {rival.name} "
        f"(McNemar's exact test: p = {found.p:.2g}), on {len(found.both)} both. Their row numbers are in "
        f"{errors_file(context.final)}.",
    )
    rows = _differences(context, rival)
    columns = ("metric", "this model", rival.name, "difference", "p")
    tables = (
        Table(columns=columns, rows=rows, caption="Metrics of both models."),
        _agreement(found, rival),
    )
    marks = [
        Row(label=str(row[0]), value=row[3], strong=True) for row in rows if isinstance(row[3], Interval)
    ]
    caption = f"This model minus {rival.name}, with 95 % intervals. Above 0 this model is better."
    figure = dot_figure("comparison", caption, marks, axis="difference", reference=0.0)
    return Section(title=f"Against {rival.name}", text=text, tables=tables, figures=(figure,))


def comparison_line(context: ReportContext, rival: Rival) -> str:
    """The headline metric of both, their difference, and the numbers of errors, in one line."""
    task, labels, classes = context.task, context.result.labels, len(context.task.labels)
    statistic = bootstrap.headline_statistic(task)
    pair = (context.result.predicted, rival.predicted)
    ours, theirs = (float(statistic(bootstrap.confusion(labels, each, classes))) for each in pair)
    found = bootstrap.paired_difference(labels, *pair, statistic, classes=classes)
    errors, ends = paired_errors(context.result, rival.predicted), found.interval
    first, second, both = (f"{len(rows):,}" for rows in (errors.first, errors.second, errors.both))
    return (
        f"against {rival.name}: {metric_name(task.metric)} {ours:.4f} and {theirs:.4f}, difference "
        f"{ends.value:+.4f} [{ends.low:+.4f}, {ends.high:+.4f}], p = {found.p:.4f}; only this model errs on "
        f"{first} tweets, only {rival.name} on {second}, both on {both}"
    )


def _differences(context: ReportContext, rival: Rival) -> tuple[tuple[Cell, ...], ...]:
    labels, classes = context.result.labels, len(context.task.labels)
    pair = (context.result.predicted, rival.predicted)
    rows: list[tuple[Cell, ...]] = []
    for name, statistic in bootstrap.statistics_of(context.task).items():
        difference = bootstrap.paired_difference(labels, *pair, statistic, classes=classes)
        tables = (bootstrap.confusion(labels, predicted, classes) for predicted in pair)
        both = (bootstrap.interval(table, statistic) for table in tables)
        rows.append((metric_name(name), *both, difference.interval, difference.p))
    return tuple(rows)


def _agreement(found: PairedErrors, rival: Rival) -> Table:
    counts = (
        ("both right", found.right),
        ("only this model", len(found.second)),
        (f"only {rival.name}", len(found.first)),
        ("neither", len(found.both)),
    )
    return Table(columns=("tweets", "count"), rows=counts, caption="Correct predictions of both models.")
