"""How a number is written in a report, the same in HTML and Markdown."""

from tweetelm.evaluation.document import Cell, Interval


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


def is_number(cell: Cell) -> bool:
    """Whether a cell is aligned as a number."""
    return isinstance(cell, int | float | Interval)
