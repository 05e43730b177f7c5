"""Drawings of results as SVG. Same input, same bytes; lettering takes the color of the text around it."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import Rectangle
from sklearn.metrics import precision_recall_curve, roc_curve

from tweetelm.evaluation.calibration import reliability
from tweetelm.evaluation.evaluate import SplitResult
from tweetelm.evaluation.report.document import Figure
from tweetelm.tasks import Task

INK = "#010203"  # stands for `currentColor`, which matplotlib does not know
COLOURS = ("#3b82c4", "#d9822b", "#4a9d6e", "#a05fb4")  # legible on white and on near-black
QUIET = "#8a8f98"
_STYLE: dict[Any, Any] = {
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "svg.fonttype": "none",
    "path.simplify_threshold": 0.5,
    "legend.frameon": False,
}
_ID = re.compile(r'<g id="[^"]*">')

Splits = Mapping[str, SplitResult]


def draw(
    name: str, caption: str, paint: Callable[[Sequence[Axes]], None], *, panels: int = 1, height: float = 3.6
) -> Figure:
    """A figure of panels side by side, each 3.6 inches wide; `paint` fills their axes."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        drawing = Drawing(figsize=(3.6 * panels, height), layout="constrained")
        drawing.patch.set_alpha(0)
        axes = drawing.subplots(1, panels, squeeze=False)[0]
        for one in axes:
            one.patch.set_alpha(0)
        paint(axes)
        return Figure(name=name, caption=caption, svg=_svg(drawing))


def _svg(drawing: Drawing) -> str:
    """Without a date, and without names of groups, which would clash where figures share a page."""
    FigureCanvasSVG(drawing)
    file = io.StringIO()
    drawing.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return _ID.sub("<g>", file.getvalue()).replace(INK, "currentColor")


def confusion_figure(splits: Splits, task: Task) -> Figure:
    """A panel per split: tweets by true and predicted label."""

    def paint(axes: Sequence[Axes]) -> None:
        for one, (name, split) in zip(axes, splits.items(), strict=True):
            _paint_confusion(one, split, task)
            one.set_title(name)

    caption = (
        "Tweets by true and predicted label; the fuller the color, the larger the share of the true label."
    )
    return draw("confusion", caption, paint, panels=len(splits), height=3.2)


def curve_figure(splits: Splits, task: Task, thresholds: Mapping[str, float]) -> Figure:
    """ROC and precision over recall, with the operating point that each of `thresholds` gives."""
    marks = (f"{name} ({mark})" for name, mark in zip(thresholds, _MARKS, strict=False))
    caption = f"Left: ROC. Right: precision over recall of `{task.positive}`. Markers: {', '.join(marks)}."

    def paint(axes: Sequence[Axes]) -> None:
        for (name, split), color in zip(splits.items(), COLOURS, strict=False):
            _paint_curves(axes[0], axes[1], split, task, name, color, list(thresholds.values()))
        axes[0].plot([0, 1], [0, 1], color=QUIET, linestyle=":")
        axes[0].set(xlabel="false positive rate", ylabel=f"recall of {task.positive}")
        axes[1].set(xlabel=f"recall of {task.positive}", ylabel="precision", ylim=(-0.03, 1.03))
        axes[0].legend(loc="lower right")

    return draw("curves", caption, paint, panels=2)


def reliability_figure(splits: Splits, task: Task) -> Figure:
    """Observed share of positives against the probability told, per split."""

    def paint(axes: Sequence[Axes]) -> None:
        axes[0].plot([0, 1], [0, 1], color=QUIET, linestyle=":")
        for (name, split), color in zip(splits.items(), COLOURS, strict=False):
            points = reliability(split.labels == len(task.labels) - 1, split.probabilities[:, -1])
            means, shares, counts = zip(*points, strict=True)
            axes[0].plot(means, shares, color=color, label=name)
            axes[0].scatter(means, shares, s=[10 + 120 * n / len(split.labels) for n in counts], color=color)
        axes[0].set(xlabel=f"P({task.positive}) as told", ylabel=f"observed share of {task.positive}")
        axes[0].set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        axes[0].legend(loc="upper left")

    caption = "Reliability: on the dotted line, probabilities are right. A larger dot holds more tweets."
    return draw("reliability", caption, paint)


_MARKS = ("●", "▲", "■")
_POINTS = ("o", "^", "s")


def _paint_confusion(axes: Axes, split: SplitResult, task: Task) -> None:
    table = np.asarray(split.metrics["confusion"])
    for (row, column), count in np.ndenumerate(table):
        share = count / max(table[row].sum(), 1)
        cell = Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=COLOURS[0], alpha=0.7 * share)
        axes.add_patch(cell)
        axes.text(column, row, str(count), ha="center", va="center")
    ticks, edge = range(len(task.labels)), len(task.labels) - 0.5
    axes.set(xticks=ticks, yticks=ticks, xlim=(-0.5, edge), ylim=(edge, -0.5), aspect="equal")
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_xticklabels(task.labels)
    axes.set_yticklabels(task.labels, rotation=90, va="center")


def _paint_curves(
    roc: Axes,
    precision: Axes,
    split: SplitResult,
    task: Task,
    name: str,
    color: str,
    thresholds: list[float],
) -> None:
    truth, score = split.labels == len(task.labels) - 1, split.probabilities[:, -1]
    if split.metrics["auroc"] is None:
        return
    alarms, recall, _ = roc_curve(truth, score)
    roc.plot(alarms, recall, color=color, label=f"{name}, AUROC {split.metrics['auroc']:.3f}")
    exact, found, _ = precision_recall_curve(truth, score)
    precision.plot(found[:-1], exact[:-1], color=color)
    for threshold, mark in zip(thresholds, _POINTS, strict=False):
        told = score >= threshold
        hits = (told & truth).sum()
        place = hits / truth.sum()
        roc.plot((told & ~truth).sum() / (~truth).sum(), place, mark, color=color)
        precision.plot(place, hits / max(told.sum(), 1), mark, color=color)
