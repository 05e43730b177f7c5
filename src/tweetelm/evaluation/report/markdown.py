"""Renders a document as Markdown. Figures are links to `<name>.svg` in the same folder."""

import re

from tweetelm.evaluation.report.document import Document, Figure, Section, Table
from tweetelm.evaluation.report.formatting import is_numeric, show

_SPECIAL = re.compile(r"([\\*<|]|(?<=\])\()")


def render_markdown(document: Document) -> str:
    """The document as Markdown; notices first."""
    parts = [f"> **{_plain(notice)}**" for notice in document.notices]
    parts.append(f"# {_plain(document.title)}")
    parts += [_section(section) for section in document.sections]
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> str:
    parts = [f"## {_plain(section.title)}", *map(_plain, section.text)]
    parts += [_figure(figure) for figure in section.figures]
    parts += [_table(table) for table in section.tables]
    return "\n\n".join(parts)


def _table(table: Table) -> str:
    columns = ([row[i] for row in table.rows] for i in range(len(table.columns)))
    rules = ["---:" if is_numeric(column) else "---" for column in columns]
    lines = [_line(table.columns), _line(rules), *(_line([show(cell) for cell in row]) for row in table.rows)]
    caption = f"{_plain(table.caption)}\n\n" if table.caption else ""
    return caption + "\n".join(lines)


def _line(cells: "tuple[str, ...] | list[str]") -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _figure(figure: Figure) -> str:
    return f"![{_plain(figure.caption)}]({figure.name}.svg)"


def _plain(text: str) -> str:
    """Escape Markdown; text between backticks stays code."""
    pieces = text.replace("\n", " ").split("`")
    if len(pieces) % 2 == 0:
        return _SPECIAL.sub(r"\\\1", " ".join(pieces))
    shown = [
        piece.replace("|", "\\|") if i % 2 else _SPECIAL.sub(r"\\\1", piece) for i, piece in enumerate(pieces)
    ]
    return "`".join(shown)
