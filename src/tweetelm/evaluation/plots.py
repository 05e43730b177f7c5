"""Three figures of one split: confusion matrix, ROC curve, reliability. Same input, same bytes."""

from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from tweetelm.evaluation.evaluate import SplitResult
from tweetelm.tasks import Task

BINS = 10
INK = "#1f5f8b"


def write_plots(split: SplitResult, task: Task, folder: Path, name: str) -> list[str]:
    """Write the figures of split `name` as SVG, no ROC curve where it is undefined; return the file names."""
    drawings = {"confusion": _draw_confusion, "roc": _draw_roc, "reliability": _draw_reliability}
    if split.metrics["auroc"] is None:
        del drawings["roc"]
    names = []
    for kind, draw in drawings.items():
        figure = Figure(figsize=(4.2, 4.0), layout="constrained")
        axes = figure.add_subplot()
        draw(axes, split, task)
        names.append(f"{kind}-{name}.svg")
        _save(figure, folder / names[-1])
    return names


def reliability(
    positive: npt.NDArray[np.bool_], probability: npt.NDArray[np.float64], bins: int = BINS
) -> list[tuple[float, float, int]]:
    """(mean probability, observed share of positives, tweets) of every equal-width bin that holds a tweet."""
    index = np.minimum((probability * bins).astype(int), bins - 1)
    inside = [index == i for i in range(bins)]
    return [
        (float(probability[b].mean()), float(positive[b].mean()), int(b.sum())) for b in inside if b.any()
    ]


def _save(figure: Figure, path: Path) -> None:
    """SVG without a date and with fixed element ids, so that equal results give equal files."""
    FigureCanvasSVG(figure)
    with matplotlib.rc_context({"svg.hashsalt": "tweetelm", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw_confusion(axes: Axes, split: SplitResult, task: Task) -> None:
    table = np.asarray(split.metrics["confusion"])
    axes.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        share = count / max(table[row].sum(), 1)
        text = f"{count}\n{share:.0%}"
        axes.text(column, row, text, ha="center", va="center", color="white" if share > 0.5 else "black")
    ticks = range(len(task.labels))
    axes.set(xticks=ticks, yticks=ticks, xlabel="predicted", ylabel="true")
    axes.set_xticklabels(task.labels)
    axes.set_yticklabels(task.labels)


def _draw_roc(axes: Axes, split: SplitResult, task: Task) -> None:
    false_alarms, recall, _ = roc_curve(split.labels == len(task.labels) - 1, split.probabilities[:, -1])
    axes.plot(false_alarms, recall, color=INK)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.set(xlabel="false positive rate", ylabel=f"recall of {task.positive}", aspect="equal")
    axes.set_title(f"AUROC {split.metrics['auroc']:.3f}")


def _draw_reliability(axes: Axes, split: SplitResult, task: Task) -> None:
    points = reliability(split.labels == len(task.labels) - 1, split.probabilities[:, -1])
    means, shares, _ = zip(*points, strict=True)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.plot(means, shares, color=INK, marker="o")
    for mean, share, count in points:
        axes.annotate(str(count), (mean, share), textcoords="offset points", xytext=(4, -10), fontsize=7)
    axes.set(xlabel=f"predicted P({task.positive})", ylabel="observed share", aspect="equal")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
