"""How a number is written in a report, the same in HTML and Markdown."""

from collections.abc import Sequence

from tweetelm.evaluation.report.document import Cell, Interval


def show(cell: Cell) -> str:
    """A cell as text: three decimals, two digits of what would vanish in them, counts in full."""
    if cell is None:
        return "–"
    if isinstance(cell, Interval):
        return f"{show(cell.value)} [{show(cell.low)}, {show(cell.high)}]"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int):
        return f"{cell:,}" if abs(cell) >= 10_000 else str(cell)
    if cell and abs(cell) < 0.0005:
        return f"{cell:.1e}"
    return f"{cell:,.1f}" if abs(cell) >= 1000 else f"{cell:.3f}"


def is_numeric(column: Sequence[Cell]) -> bool:
    """Whether a column is aligned as numbers: it has some, and else only gaps."""
    told = [cell for cell in column if cell is not None]
    return bool(told) and all(isinstance(cell, int | float | Interval) for cell in told)
