"""A report as data: sections of text, tables and figures, from which JSON, HTML and Markdown are made alike.

Numbers stand in tables as numbers; how many digits are shown is the renderer's affair.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number with the ends of its 95 % interval."""

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
    """A drawing. `name` is its file name without ending, `svg` the whole file's text."""

    name: str
    caption: str
    svg: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading with what belongs under it, in the order text, figures, tables."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole report. `notices` are shown first and wherever a result is quoted."""

    title: str
    notices: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, figures without their drawing."""
        document = dataclasses.asdict(self)
        for section in document["sections"]:
            for figure in section["figures"]:
                del figure["svg"]
        return document
