"""The result in one number, among what others reached, and against another version."""

from tweetelm.evaluation import bootstrap
from tweetelm.evaluation.report.context import NAMES, Evidence, measured
from tweetelm.evaluation.report.document import Cell, Section, Table


def headline(evidence: Evidence) -> Section:
    """Ours among the published results on test, best first; alone where the data are synthetic."""
    task, name = evidence.task, NAMES[evidence.task.metric]
    ours = measured(evidence.result.metrics, task.metric)
    rows: list[tuple[float, tuple[Cell, ...]]] = [(ours.value if ours else 0, ("→ this model", ours, "here"))]
    if not evidence.provenance.synthetic and evidence.final == "test":
        rows += [(p.value, (p.system, p.value, p.source)) for p in task.published]
    rows.sort(key=lambda row: -row[0])
    table = Table(columns=("system", name, "source"), rows=tuple(row for _, row in rows))
    told = (
        "the likeliest label"
        if evidence.evaluation.threshold is None
        else "the label by the card's threshold"
    )
    text = (
        f"{task.question} {name} on the {evidence.final} split, scored on {told}; in brackets the 95 % "
        "interval by the percentile bootstrap over tweets. It covers the choice of tweets, not of the "
        "training seed.",
        task.limits,
    )
    return Section(title="Headline", text=text, tables=(table,))


def comparison(evidence: Evidence) -> Section | None:
    """This model less the rival, on the same tweets."""
    rival = evidence.rival
    if rival is None:
        return None
    labels, ours, theirs = evidence.result.labels, evidence.result.predicted, rival.predictions.predicted
    rows = []
    for name, statistic in bootstrap.STATISTICS.items():
        found = bootstrap.paired_difference(labels, ours, theirs, statistic)
        both = (bootstrap.interval(bootstrap.confusion(labels, told), statistic) for told in (ours, theirs))
        rows.append((NAMES[name], *both, found.interval, found.p))
    mine, other = ours == labels, theirs == labels
    counts = (
        ("both right", int((mine & other).sum())),
        ("only this model", int((mine & ~other).sum())),
        (f"only {rival.version}", int((~mine & other).sum())),
        ("neither", int((~mine & ~other).sum())),
    )
    text = (
        f"Both models on the same {evidence.final} tweets: tweets are drawn once for both, so that what "
        f"they have in common cancels. p: twice the share of {bootstrap.PAIRED_RESAMPLES:,} resamples in "
        "which the difference vanishes or turns.",
    )
    columns = ("metric", "this model", rival.version, "difference", "p")
    return Section(
        title=f"Against {rival.version}",
        text=text,
        tables=(Table(columns=columns, rows=tuple(rows)), Table(columns=("tweets", "count"), rows=counts)),
    )
