"""Number formatting, the same in HTML and Markdown."""

from collections.abc import Sequence

from tweetelm.evaluation.report.document import Cell, Interval


def show(cell: Cell) -> str:
    """A cell as text: floats with three decimals (small ones in scientific notation), integers in full."""
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
    """Whether a column has numbers only; None is allowed beside them."""
    present = [cell for cell in column if cell is not None]
    return bool(present) and all(isinstance(cell, int | float | Interval) for cell in present)
