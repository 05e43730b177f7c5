"""Figures as SVG. The same input gives the same bytes. Text has the color of the page (`currentColor`).

A figure has one panel, narrow enough for a phone.
"""

import io
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import Rectangle
from sklearn.metrics import precision_recall_curve, roc_curve

from tweetelm.evaluation.calibration import rated, reliability
from tweetelm.evaluation.evaluate import SplitResult
from tweetelm.evaluation.report.document import Figure
from tweetelm.tasks import Task

INK = "#010203"  # placeholder for `currentColor`, which matplotlib does not support
PAPER = "#fdfcfb"  # placeholder for the background of the page
COLORS = ("#3b82c4", "#c2701c", "#3f8f62", "#a05fb4")  # at least 3:1 on white and on the dark page
QUIET = "#7d838d"
FEW_LABELS = 8  # confusion matrices of more labels have no numbers
_STYLE: dict[Any, Any] = {
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "svg.fonttype": "none",
    "path.simplify_threshold": 0.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_REPLACED = {INK: "currentColor", PAPER: "var(--paper)"}
_FILE_STYLE = (
    "<style>svg { --paper: #ffffff; color: #1c2430; background: #ffffff } "
    "@media (prefers-color-scheme: dark) "
    "{ svg { --paper: #14181e; color: #e4e8ee; background: #14181e } }</style>"
)
_SVG_TAG = re.compile(r"<svg\b[^>]*>")
_ID = re.compile(r'<g id="[^"]*">')
_MARKS = ("●", "▲", "■")
_POINTS = ("o", "^", "s")

Splits = Mapping[str, SplitResult]


def draw(
    name: str, caption: str, paint: Callable[[Axes], None], *, width: float = 3.6, height: float = 3.6
) -> Figure:
    """A figure with one panel; `paint` draws into its axes, `width` and `height` are in inches."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        drawing = Drawing(figsize=(width, height), layout="constrained")
        drawing.patch.set_alpha(0)
        axes = drawing.subplots()
        axes.patch.set_alpha(0)
        paint(axes)
        return Figure(name=name, caption=caption, svg=_svg(drawing))


def _svg(drawing: Drawing) -> str:
    """SVG text without a date, and without group ids, which must be unique in a page."""
    FigureCanvasSVG(drawing)
    file = io.StringIO()
    drawing.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = _ID.sub("<g>", file.getvalue())
    for placeholder, color in _REPLACED.items():
        text = text.replace(placeholder, color)
    return text


def standalone(svg: str) -> str:
    """The SVG as a file of its own: with colors for light and dark mode, which a page would set."""
    return _SVG_TAG.sub(lambda tag: f"{tag[0]}\n {_FILE_STYLE}", svg, count=1)


def confusion_figures(splits: Splits, task: Task) -> tuple[Figure, ...]:
    """One confusion matrix per split."""
    shown = "Percentages" if len(task.labels) <= FEW_LABELS else "Color"
    return tuple(
        draw(
            f"confusion-{name}",
            f"Confusion matrix on {name}. {shown}: share of the true label.",
            lambda axes, split=split: _paint_confusion(axes, split, task),  # type: ignore[misc]
            height=max(2.8, 0.55 * min(len(task.labels), FEW_LABELS)),
        )
        for name, split in splits.items()
    )


def curve_figures(splits: Splits, task: Task, thresholds: Mapping[str, float]) -> tuple[Figure, Figure]:
    """ROC and precision-recall curves with the operating point of each threshold."""
    marks = ", ".join(f"{mark} {name}" for name, mark in zip(thresholds, _MARKS, strict=False))

    def paint(axes: Axes, kind: Callable[..., None]) -> None:
        for (name, split), color in zip(splits.items(), COLORS, strict=False):
            if split.metrics["auroc"] is not None:
                kind(axes, split, task, list(thresholds.values()), color=color, label=name)
        axes.legend(loc="best")

    recall = f"recall of {task.positive}"
    return (
        draw(
            "roc",
            f"ROC: {recall} over the false positive rate. {marks}.",
            lambda axes: paint(axes, _paint_roc),
        ),
        draw(
            "precision-recall",
            f"Precision over {recall}. {marks}.",
            lambda axes: paint(axes, _paint_precision),
        ),
    )


def reliability_figure(splits: Splits, task: Task) -> Figure:
    """Reliability diagram per split: of two labels, that of the positive one; of more, that of the most
    probable one."""
    what, observed = reliability_axes(task)

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=QUIET, linestyle=":")
        for (name, split), color in zip(splits.items(), COLORS, strict=False):
            points = reliability(*rated(split.labels, split.probabilities))
            means, shares, counts = zip(*points, strict=True)
            axes.plot(means, shares, color=color, label=name)
            axes.scatter(means, shares, s=[10 + 120 * n / len(split.labels) for n in counts], color=color)
        axes.set(xlabel=what, ylabel=observed)
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        axes.legend(loc="upper left")

    caption = "Reliability. Dotted: perfectly calibrated. A larger dot stands for more tweets."
    return draw("reliability", caption, paint)


def reliability_axes(task: Task) -> tuple[str, str]:
    """What is predicted, and what is observed (see `calibration.rated`)."""
    if task.binary:
        return f"P({task.positive})", f"observed share of {task.positive}"
    return "P(most probable label)", "share of right predictions"


def _paint_confusion(axes: Axes, split: SplitResult, task: Task) -> None:
    table, few = np.asarray(split.metrics["confusion"]), len(task.labels) <= FEW_LABELS
    for (row, column), count in np.ndenumerate(table):
        share = count / max(table[row].sum(), 1)
        cell = Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=COLORS[0], alpha=0.5 * share)
        axes.add_patch(cell)
        if few:
            size = None if len(task.labels) <= 4 else 6
            axes.text(column, row, f"{count}\n{share:.0%}", ha="center", va="center", size=size)
    ticks, edge = range(len(task.labels)), len(task.labels) - 0.5
    axes.set(xticks=ticks, yticks=ticks, xlim=(-0.5, edge), ylim=(edge, -0.5), aspect="equal")
    axes.set(xlabel="predicted", ylabel="true")
    _name_ticks(axes, task.labels)


def _name_ticks(axes: Axes, labels: tuple[str, ...]) -> None:
    """Write the labels at both axes; the more there are, the smaller and the shorter."""
    if len(labels) <= 4:
        axes.set_xticklabels(labels)
        axes.set_yticklabels(labels, rotation=90, va="center")
        return
    size = 8.0 if len(labels) <= FEW_LABELS else max(2.0, 130 / len(labels))
    names = [textwrap.shorten(label, 22, placeholder="…") for label in labels]
    axes.set_xticklabels(names, rotation=90, size=size)
    axes.set_yticklabels(names, size=size)


def _paint_roc(
    axes: Axes, split: SplitResult, task: Task, thresholds: list[float], *, color: str, label: str
) -> None:
    truth, score = _truth(split, task), split.probabilities[:, -1]
    false_positives, recall, _ = roc_curve(truth, score)
    axes.plot(false_positives, recall, color=color, label=f"{label}, AUROC {split.metrics['auroc']:.3f}")
    axes.plot([0, 1], [0, 1], color=QUIET, linestyle=":")
    for threshold, mark in zip(thresholds, _POINTS, strict=False):
        positive = score >= threshold
        found = (positive & truth).sum() / truth.sum()
        axes.plot((positive & ~truth).sum() / (~truth).sum(), found, mark, color=color)
    axes.set(xlabel="false positive rate", ylabel=f"recall of {task.positive}")


def _paint_precision(
    axes: Axes, split: SplitResult, task: Task, thresholds: list[float], *, color: str, label: str
) -> None:
    truth, score = _truth(split, task), split.probabilities[:, -1]
    precision, recall, _ = precision_recall_curve(truth, score)
    axes.plot(recall[:-1], precision[:-1], color=color, label=label)
    for threshold, mark in zip(thresholds, _POINTS, strict=False):
        positive = score >= threshold
        true_positives = (positive & truth).sum()
        axes.plot(true_positives / truth.sum(), true_positives / max(positive.sum(), 1), mark, color=color)
    axes.set(xlabel=f"recall of {task.positive}", ylabel="precision", ylim=(-0.03, 1.03))


def _truth(split: SplitResult, task: Task) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    found: np.ndarray[Any, np.dtype[np.bool_]] = split.labels == len(task.labels) - 1
    return found
