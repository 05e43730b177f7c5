"""Calibration of the probabilities, and the effect of thresholds."""

from math import isclose

from tweetelm.evaluation import bootstrap
from tweetelm.evaluation.calibration import (
    best_threshold,
    calibration_intervals,
    fit_temperature,
    rated,
    reliability,
    rescale,
)
from tweetelm.evaluation.evaluate import decide
from tweetelm.evaluation.intervals import wilson
from tweetelm.evaluation.report.context import ReportContext
from tweetelm.evaluation.report.document import Cell, Section, Table
from tweetelm.evaluation.report.plots import curve_figures, reliability_axes, reliability_figure
from tweetelm.tasks import metric_name

SCORES = ("negative log-likelihood", "Brier score", "ECE")
_METHOD = (
    "Logits are divided by the temperature that minimizes the log-likelihood loss on validation. It does "
    "not change the most probable label. ECE uses ten bins of equal width; resampling adds noise to "
    "every bin, so its interval is biased upward.",
)


def calibration(context: ReportContext) -> Section:
    """Calibration scores, reliability, thresholds, ROC and precision-recall curves."""
    splits, task = context.evaluation.splits, context.task
    tables = [_scores(context), *_reliability(context)]
    figures = [reliability_figure(splits, task)]
    if not task.binary:
        return Section(title="Calibration", text=_METHOD, tables=tuple(tables), figures=tuple(figures))
    thresholds = _rules(context)
    tables.append(_thresholds(context, thresholds))
    if any(split.metrics["auroc"] is not None for split in splits.values()):
        figures += curve_figures(splits, task, thresholds)
    return Section(
        title="Calibration and threshold",
        text=(*_METHOD, "No threshold is chosen on test."),
        tables=tuple(tables),
        figures=tuple(figures),
    )


def _rules(context: ReportContext) -> dict[str, float]:
    """Thresholds to compare, by name."""
    splits, thresholds = context.evaluation.splits, {"even odds": 0.5}
    if "validation" in splits:
        found = splits["validation"]
        thresholds["best macro-F1 on validation"] = best_threshold(found.labels, found.probabilities[:, -1])
    if context.evaluation.threshold is not None:
        thresholds["of the card"] = context.evaluation.threshold
    return thresholds


def _scores(context: ReportContext) -> Table:
    """Calibration scores per split and temperature."""
    used, splits = context.evaluation.temperature, context.evaluation.splits
    temperatures = {"none": 1.0}
    if not isclose(used, 1.0):
        temperatures["of the card"] = used
    if "validation" in splits:
        found = splits["validation"]
        factor = fit_temperature(found.labels, found.probabilities)
        if not isclose(factor, 1.0, rel_tol=1e-3):
            temperatures["fitted on validation"] = used * factor
    rows: list[tuple[Cell, ...]] = []
    for name, split in splits.items():
        for rule, value in temperatures.items():
            probabilities = rescale(split.probabilities, value / used)
            rows.append((name, rule, value, *calibration_intervals(split.labels, probabilities)))
    caption = (
        "Calibration scores without a temperature, with that of the card, and with that fitted on validation."
    )
    return Table(columns=("split", "temperature", "value", *SCORES), rows=tuple(rows), caption=caption)


def _reliability(context: ReportContext) -> list[Table]:
    what, observed = reliability_axes(context.task)
    tables = []
    for name, split in context.evaluation.splits.items():
        points = reliability(*rated(split.labels, split.probabilities))
        rows = tuple((mean, wilson(round(seen * count), count), count) for mean, seen, count in points)
        columns = (f"mean {what}", observed, "tweets")
        tables.append(Table(columns=columns, rows=rows, caption=f"Reliability on {name}."))
    return tables


def _thresholds(context: ReportContext, thresholds: dict[str, float]) -> Table:
    statistics, splits = bootstrap.statistics_of(context.task), context.evaluation.splits
    rows: list[tuple[Cell, ...]] = []
    for rule, threshold in thresholds.items():
        cells: list[Cell] = [rule, threshold]
        for split in splits.values():
            table = bootstrap.confusion(split.labels, decide(split.probabilities, threshold))
            cells += [bootstrap.interval(table, statistic) for statistic in statistics.values()]
        rows.append(tuple(cells))
    names = [f"{split}: {metric_name(name)}" for split in splits for name in statistics]
    caption = (
        f"Threshold: `{context.task.positive}` is predicted at P >= threshold. A threshold chosen on "
        "validation scores too high there."
    )
    return Table(columns=("rule", "threshold", *names), rows=tuple(rows), caption=caption)
