"""Figures with one number per row: a dot or a bar with its interval.

The label is above its mark so that long names fit on a phone.
"""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from tweetelm.evaluation.report.document import Figure, Interval
from tweetelm.evaluation.report.formatting import show
from tweetelm.evaluation.report.plots import COLORS, INK, QUIET, draw

WIDTH = 4.2  # inches
_LINE = 0.165  # inches per line of text
_LETTERS = {True: 32, False: 48}  # characters per line of a label, by whether the number has an interval
_SIZE = 8.5


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number. `strong` highlights a row, such as this model among published systems."""

    label: str
    value: float | Interval
    strong: bool = False

    @property
    def center(self) -> float:
        """The number without its interval."""
        return self.value.value if isinstance(self.value, Interval) else self.value

    @property
    def high(self) -> float:
        """The upper end of its interval, or the number."""
        return self.value.high if isinstance(self.value, Interval) else self.value


@dataclass(frozen=True, kw_only=True)
class Change:
    """A number in two splits, such as a word's share in train and in test."""

    label: str
    first: float
    last: float


def errors(label: str, accuracy: Interval, *, strong: bool = False) -> Row:
    """The error rate as a row, from the accuracy."""
    rate = Interval(value=1 - accuracy.value, low=1 - accuracy.high, high=1 - accuracy.low)
    return Row(label=label, value=rate, strong=strong)


def dot_figure(
    name: str, caption: str, rows: Sequence[Row], *, axis: str, reference: float | None = None
) -> Figure:
    """A dot and whisker per row. The interval of a single strong row is shaded over the whole height."""
    shaded = sum(row.strong for row in rows) == 1

    def mark(axes: Axes, row: Row, y: float) -> None:
        color = COLORS[0] if row.strong else QUIET
        if shaded and row.strong and isinstance(row.value, Interval):
            axes.axvspan(row.value.low, row.value.high, color=color, alpha=0.12, lw=0)
        _whisker(axes, row, y, color)
        axes.plot(row.center, y, "o", color=color, ms=7 if row.strong else 5)

    return _rows_figure(name, caption, rows, mark, axis, reference)


def bar_figure(
    name: str, caption: str, rows: Sequence[Row], *, axis: str, reference: float | None = None
) -> Figure:
    """A bar per row, with its interval."""

    def mark(axes: Axes, row: Row, y: float) -> None:
        color = QUIET if row.strong else COLORS[0]
        axes.barh(y, row.center, height=0.7, color=color, alpha=0.65, lw=0)
        _whisker(axes, row, y, INK)

    top = max([row.high for row in rows] + [reference or 0.0, 1e-3])
    return _rows_figure(name, caption, rows, mark, axis, reference, limits=(0.0, 1.04 * top))


def change_figure(name: str, caption: str, changes: Sequence[Change], *, axis: str) -> Figure:
    """An open dot for the first number, a filled one for the last, and a line between them."""
    rows = [Row(label=change.label, value=change.last) for change in changes]
    by_label = {change.label: change for change in changes}

    def mark(axes: Axes, row: Row, y: float) -> None:
        change = by_label[row.label]
        axes.plot([change.first, change.last], [y, y], color=COLORS[0], lw=2, alpha=0.6)
        axes.plot(change.first, y, "o", ms=6, markerfacecolor="none", markeredgecolor=COLORS[0])
        axes.plot(change.last, y, "o", ms=6, color=COLORS[0])

    def number(row: Row) -> str:
        return f"{show(by_label[row.label].first)} → {show(row.value)}"

    return _rows_figure(name, caption, rows, mark, axis, None, number=number)


def _rows_figure(
    name: str,
    caption: str,
    rows: Sequence[Row],
    mark: Callable[[Axes, Row, float], None],
    axis: str,
    reference: float | None,
    *,
    limits: tuple[float, float] | None = None,
    number: Callable[[Row], str] = lambda row: show(row.value),
) -> Figure:
    labels = [textwrap.wrap(row.label, _LETTERS[len(number(row)) > 8]) for row in rows]
    heights = [len(lines) + 1.25 for lines in labels]

    def paint(axes: Axes) -> None:
        top = 0.0
        for row, lines, height in zip(rows, labels, heights, strict=True):
            _write(axes, row, "\n".join(lines), number(row), top)
            mark(axes, row, top + len(lines) + 0.45)
            top += height
        if reference is not None:
            axes.axvline(reference, color=QUIET, linestyle=":", lw=1, zorder=0)
        axes.set(ylim=(top, 0), yticks=[])
        axes.set_xlabel(axis, size=_SIZE)
        axes.tick_params(labelsize=_SIZE)
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.06)
        if limits:
            axes.set_xlim(*limits)

    return draw(name, caption, paint, width=WIDTH, height=_LINE * sum(heights) + 0.55)


def _write(axes: Axes, row: Row, label: str, number: str, top: float) -> None:
    """Label at the left and number at the right, above the mark."""
    transform = axes.get_yaxis_transform()
    weight = "bold" if row.strong else "normal"
    axes.text(0, top, label, transform=transform, va="top", size=_SIZE, weight=weight)
    axes.text(1, top, number, transform=transform, va="top", ha="right", size=_SIZE, weight=weight)


def _whisker(axes: Axes, row: Row, y: float, color: str) -> None:
    if isinstance(row.value, Interval):
        ends = [row.value.low, row.value.high]
        axes.plot(ends, [y, y], "|-", color=color, lw=1.5, ms=7)
