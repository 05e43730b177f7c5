"""Figures of a search report: parallel coordinates, learning curves, quality against cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ray_jobs.search.trial_results import SearchResult, Trial, best_first, show
from tweetelm.evaluation.report.document import Figure
from tweetelm.evaluation.report.interval_plots import WIDTH
from tweetelm.evaluation.report.plots import COLORS, INK, PAPER, QUIET, draw

SIZE = 8.5  # points of labels
_GAP = 0.05  # between labels of curves, as a share of the axis
_LABEL = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}  # keeps lines off the text of a label
_LEFT, _RIGHT, _SPACE = -0.4, 1.4, 0.05  # of the figure, in units of an axis; the gap before a tick label
_JITTER = 0.012  # between trials with the same value, as a share of the axis


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One axis of parallel coordinates: a position in 0..1 per trial (None: no value), and labelled ticks."""

    label: str
    positions: tuple[float | None, ...]
    ticks: tuple[tuple[float, str], ...]


def parallel_figure(result: SearchResult, metric: str) -> Figure:
    """A horizontal axis per setting and one for the score; a line per trial crosses them all."""
    trials = list(reversed(best_first(result.trials)))  # the best is drawn last
    scales = [setting_scale(key, [trial.sample[key] for trial in trials]) for key in trials[0].sample]
    scales.append(score_scale(f"validation {metric}", [trial.score for trial in trials]))

    def paint(axes: Axes) -> None:
        for row, scale in enumerate(scales):
            _paint_scale(axes, scale, float(row))
        for i, trial in enumerate(trials):
            offset = (i - (len(trials) - 1) / 2) * _JITTER
            _paint_trial(axes, trial, [scale.positions[i] for scale in scales], offset, result.winner)
        axes.set(xlim=(_LEFT, _RIGHT), ylim=(len(scales) - 0.5, -0.4))
        axes.axis("off")

    caption = "A line per trial, from its settings to its score. Blue: chosen. Dashed: pruned."
    return draw("parallel-coordinates", caption, paint, width=WIDTH, height=0.62 * len(scales) + 0.2)


def setting_scale(label: str, values: Sequence[Any]) -> Scale:
    """Many floats lie on a scale, logarithmic where all are positive; other values at equal distances."""
    distinct = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    if len(distinct) > 3 and all(isinstance(value, float) for value in distinct):
        low, high = distinct[0], distinct[-1]
        positions = tuple(_position(value, low, high, log=low > 0) for value in values)
        return Scale(label=label, positions=positions, ticks=((0.0, show(low)), (1.0, show(high))))
    steps = max(len(distinct) - 1, 1)
    slots = {value: i / steps for i, value in enumerate(distinct)}
    ticks = tuple((slot, show(value)) for value, slot in slots.items())
    return Scale(label=label, positions=tuple(slots[value] for value in values), ticks=ticks)


def score_scale(label: str, scores: Sequence[float | None]) -> Scale:
    """From the lowest score to the highest."""
    known = [score for score in scores if score is not None]
    low, high = min(known), max(known)
    positions = tuple(None if score is None else _position(score, low, high) for score in scores)
    ticks = ((0.0, f"{low:.3f}"), (1.0, f"{high:.3f}")) if high > low else ((0.5, f"{low:.3f}"),)
    return Scale(label=label, positions=positions, ticks=ticks)


def _position(value: float, low: float, high: float, *, log: bool = False) -> float:
    if high <= low:
        return 0.5
    if log:
        return float(np.log(value / low) / np.log(high / low))
    return (value - low) / (high - low)


def _paint_scale(axes: Axes, scale: Scale, y: float) -> None:
    """The axis, its name above it, the first and last tick beside it, and other ticks below it."""
    axes.plot([0, 1], [y, y], color=QUIET, lw=1, zorder=0)
    axes.text(_LEFT, y - 0.2, scale.label, size=SIZE, weight="bold", va="bottom", bbox=_LABEL, zorder=4)
    for x, text in scale.ticks:
        axes.plot([x, x], [y - 0.06, y + 0.06], color=QUIET, lw=1, zorder=0)
        if x in (0, 1):
            beside = 1 + _SPACE if x else -_SPACE
            axes.text(beside, y, text, size=SIZE, va="center", ha="left" if x else "right")
        else:
            axes.text(x, y + 0.14, text, size=SIZE, va="top", ha="center", bbox=_LABEL, zorder=4)


def _paint_trial(
    axes: Axes, trial: Trial, positions: Sequence[float | None], offset: float, winner: str
) -> None:
    points = [(x + offset, y) for y, x in enumerate(positions) if x is not None]
    chosen = trial.run == winner
    axes.plot(
        *zip(*points, strict=True),
        _line(trial),
        color=COLORS[0] if chosen else QUIET,
        lw=2.5 if chosen else 1,
        alpha=1 if chosen else 0.75,
        zorder=3 if chosen else 2,
    )


def _line(trial: Trial) -> str:
    return "--" if trial.status == "pruned" else "-"


def curves_figure(result: SearchResult, metric: str) -> Figure:
    """Score by epoch. Each curve has its trial's number at its end."""
    trials = [trial for trial in reversed(best_first(result.trials)) if trial.curve]
    heights = label_heights([trial.curve for trial in trials])

    def paint(axes: Axes) -> None:
        for trial, height in zip(trials, heights, strict=True):
            _paint_curve(axes, trial, height, chosen=trial.run == result.winner)
        axes.set(xlabel="epoch", ylabel=f"validation {metric}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    caption = "Each curve ends at its trial's number. Blue: chosen. Dashed: pruned."
    return draw("curves", caption, paint, width=WIDTH)


def _paint_curve(axes: Axes, trial: Trial, height: float, *, chosen: bool) -> None:
    color, weight = (COLORS[0], "bold") if chosen else (QUIET, "normal")
    epochs, scores = zip(*trial.curve, strict=True)
    axes.plot(epochs, scores, _line(trial), marker="o", ms=3, lw=2.5 if chosen else 1.2, color=color)
    axes.annotate(
        trial.number,
        (epochs[-1], scores[-1]),
        xytext=(7, height),
        textcoords=("offset points", "data"),
        size=SIZE,
        va="center",
        weight=weight,
    )


def label_heights(curves: Sequence[Sequence[tuple[float, float]]]) -> list[float]:
    """Where the label of each curve's end goes: at its last score, or above the label below it."""
    scores = [score for curve in curves for _, score in curve]
    gap = _GAP * (max(scores) - min(scores)) if scores else 0.0
    heights = [curve[-1][1] for curve in curves]
    previous: dict[float, float] = {}  # height of the last label, by the epoch at which curves end
    for i in sorted(range(len(curves)), key=lambda i: heights[i]):
        end = curves[i][-1][0]
        heights[i] = max(heights[i], previous.get(end, float("-inf")) + gap)
        previous[end] = heights[i]
    return heights


def cost_figure(result: SearchResult, metric: str) -> Figure:
    """Validation score by speed, with the frontier. `result.speeds` is not empty."""
    scored = [
        (result.speeds[trial.size], trial.score, trial) for trial in result.trials if trial.score is not None
    ]
    front = frontier([(speed, score) for speed, score, _ in scored])
    best = {speed: max(s for v, s, _ in scored if v == speed) for speed in {v for v, _, _ in scored}}
    names = {result.speeds[size]: size for size in result.speeds}

    def paint(axes: Axes) -> None:
        for speed, score, trial in scored:
            color = COLORS[0] if trial.run == result.winner else QUIET
            axes.plot(speed, score, "o", color=color, ms=6, alpha=0.85, zorder=3)
        for speed, score in best.items():
            axes.annotate(names[speed], (speed, score), xytext=(0, 8), textcoords="offset points",
                          ha="center", size=SIZE)  # fmt: skip
        axes.margins(x=0.25, y=0.18)
        _paint_frontier(axes, front)
        axes.set(xlabel="tweets per second (measured)", ylabel=f"validation {metric}")

    caption = (
        "A dot per trial, at the speed of its model size. Blue: chosen. The line is the frontier: no trial "
        "above or to the right of it."
    )
    return draw("quality-cost", caption, paint, width=WIDTH)


def _paint_frontier(axes: Axes, front: Sequence[tuple[float, float]]) -> None:
    """Steps from the left edge, at the best score, to the bottom, at the highest speed."""
    left, bottom = axes.get_xlim()[0], axes.get_ylim()[0]
    speeds = [left, *(speed for speed, _ in front), front[-1][0]]
    scores = [front[0][1], *(score for _, score in front), bottom]
    axes.step(speeds, scores, where="pre", color=INK, lw=1.2, zorder=1)
    axes.set(xlim=(left, axes.get_xlim()[1]), ylim=(bottom, axes.get_ylim()[1]))


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The Pareto-optimal points, by ascending speed: no other is as fast and better, or as good and faster.

    Args:
        points: (speed, score); higher is better in both.
    """
    best: list[tuple[float, float]] = []
    for point in sorted(set(points), reverse=True):
        if not best or point[1] > best[-1][1]:
            best.append(point)
    return best[::-1]
