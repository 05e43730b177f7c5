"""A report as data: sections of text, tables and figures. JSON, HTML and Markdown are rendered from it.

Tables hold numbers; the renderers round them.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number with its 95 % confidence interval."""

    value: float
    low: float
    high: float


Cell = str | int | float | None | Interval


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under column names; each row has as many cells as there are columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"row {row} has {len(row)} cells; expected {len(self.columns)}")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """An SVG figure. `name` is its file name without suffix; the caption is also its text alternative."""

    name: str
    caption: str
    svg: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading, then text, figures and tables in this order."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Document:
    """A report. `notices` are warnings that are shown first."""

    title: str
    notices: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; figures without their SVG."""
        document = dataclasses.asdict(self)
        for section in document["sections"]:
            for figure in section["figures"]:
                del figure["svg"]
        return document
