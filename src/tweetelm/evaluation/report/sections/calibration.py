"""Whether probabilities can be taken at their word, and what a threshold would change."""

from math import isclose

from tweetelm.evaluation import bootstrap
from tweetelm.evaluation.calibration import (
    best_threshold,
    calibration_intervals,
    fit_temperature,
    reliability,
    rescale,
)
from tweetelm.evaluation.evaluate import decide
from tweetelm.evaluation.report.context import NAMES, Evidence
from tweetelm.evaluation.report.document import Cell, Section, Table
from tweetelm.evaluation.report.plots import curve_figures, reliability_figure

SCORES = ("negative log-likelihood", "Brier score", "ECE")


def calibration(evidence: Evidence) -> Section:
    """Scores of the probabilities, reliability, thresholds and curves."""
    splits, task = evidence.evaluation.splits, evidence.task
    tables = [_scores(evidence), *_reliability(evidence)]
    thresholds = {"even odds": 0.5}
    if "validation" in splits:
        found = splits["validation"]
        thresholds["best macro-F1 on validation"] = best_threshold(found.labels, found.probabilities[:, -1])
    if evidence.evaluation.threshold is not None:
        thresholds["the card's"] = evidence.evaluation.threshold
    tables.append(_thresholds(evidence, thresholds))
    figures = [reliability_figure(splits, task)]
    if any(split.metrics["auroc"] is not None for split in splits.values()):
        figures += curve_figures(splits, task, thresholds)
    text = (
        "Logits are divided by the temperature at which validation's labels are likeliest; it changes no "
        "label that is told. ECE is over ten bins of equal width of P; resampling adds noise to every bin, "
        "so its interval lies high.",
        "What test would prefer is not looked for: a threshold chosen on test is no result.",
    )
    return Section(title="Calibration and threshold", text=text, tables=tuple(tables), figures=tuple(figures))


def _scores(evidence: Evidence) -> Table:
    """Per split, with the card's temperature and without any."""
    told, splits = evidence.evaluation.temperature, evidence.evaluation.splits
    temperatures = {"none": 1.0}
    if not isclose(told, 1.0):
        temperatures["the card's"] = told
    if "validation" in splits:
        found = splits["validation"]
        factor = fit_temperature(found.labels, found.probabilities)
        if not isclose(factor, 1.0, rel_tol=1e-3):
            temperatures["fitted on validation"] = told * factor
    rows: list[tuple[Cell, ...]] = []
    for name, split in splits.items():
        for rule, value in temperatures.items():
            probabilities = rescale(split.probabilities, value / told)
            rows.append((name, rule, value, *calibration_intervals(split.labels, probabilities)))
    caption = (
        "Without a temperature, with the card's, and with the one that validation asks for if it differs."
    )
    return Table(columns=("split", "temperature", "value", *SCORES), rows=tuple(rows), caption=caption)


def _reliability(evidence: Evidence) -> list[Table]:
    positive = evidence.task.positive
    tables = []
    for name, split in evidence.evaluation.splits.items():
        points = reliability(split.labels == len(evidence.task.labels) - 1, split.probabilities[:, -1])
        rows = tuple(
            (mean, bootstrap.share(round(seen * count), count), count) for mean, seen, count in points
        )
        columns = (f"mean P({positive})", f"observed share of {positive}", "tweets")
        tables.append(Table(columns=columns, rows=rows, caption=f"Reliability on {name}."))
    return tables


def _thresholds(evidence: Evidence, thresholds: dict[str, float]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for rule, threshold in thresholds.items():
        cells: list[Cell] = [rule, threshold]
        for split in evidence.evaluation.splits.values():
            table = bootstrap.confusion(split.labels, decide(split.probabilities, threshold))
            cells += [bootstrap.interval(table, statistic) for statistic in bootstrap.STATISTICS.values()]
        rows.append(tuple(cells))
    names = [
        f"{split}: {NAMES[name]}" for split in evidence.evaluation.splits for name in bootstrap.STATISTICS
    ]
    caption = (
        f"`{evidence.task.positive}` from which probability on. The rule's own validation value flatters it."
    )
    return Table(columns=("rule", "threshold", *names), rows=tuple(rows), caption=caption)
