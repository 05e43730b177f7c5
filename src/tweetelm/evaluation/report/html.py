"""A document as one HTML file that needs nothing else: no script, no font, no address to fetch from."""

import re
from html import escape
from importlib.resources import files

from tweetelm.evaluation.report.document import Cell, Document, Figure, Interval, Section, Table
from tweetelm.evaluation.report.formatting import is_numeric, show

_PROLOGUE = re.compile(r"^.*?(?=<svg\b)", re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render_html(document: Document) -> str:
    """The whole page; follows the reader's light or dark mode, and prints."""
    style = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        f"<title>{escape(document.title)}</title>",
        f"<style>\n{style}</style>",
        "</head>",
        "<body>",
        *(f'<p class="notice">{_text(notice)}</p>' for notice in document.notices),
        f"<h1>{_text(document.title)}</h1>",
        _contents(document),
        *(_section(section, i) for i, section in enumerate(document.sections)),
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def _contents(document: Document) -> str:
    links = (f'<li><a href="#s{i}">{_text(s.title)}</a></li>' for i, s in enumerate(document.sections))
    return f"<nav><ul>{''.join(links)}</ul></nav>"


def _section(section: Section, number: int) -> str:
    parts = [f'<section id="s{number}">', f"<h2>{_text(section.title)}</h2>"]
    parts += [f"<p>{_text(paragraph)}</p>" for paragraph in section.text]
    parts += [_table(table) for table in section.tables]
    if section.figures:
        parts.append(f'<div class="figures">{"".join(map(_figure, section.figures))}</div>')
    return "\n".join([*parts, "</section>"])


def _table(table: Table) -> str:
    """In a box of its own, which scrolls where the table is wider than the page."""
    numeric = [is_numeric([row[i] for row in table.rows]) for i in range(len(table.columns))]
    head = "".join(
        f"<th{_kind(number)}>{_text(name)}</th>" for name, number in zip(table.columns, numeric, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(_cell(cell, number) for cell, number in zip(row, numeric, strict=True))}</tr>\n"
        for row in table.rows
    )
    caption = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
    return (
        f'<div class="box" tabindex="0"><table>{caption}<thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _kind(number: bool) -> str:
    return ' class="number"' if number else ""


def _cell(cell: Cell, number: bool) -> str:
    shown = _text(show(cell))
    if isinstance(cell, Interval):
        value, ends = shown.split(" ", 1)
        shown = f'{value} <span class="range">{ends}</span>'
    return f"<td{_kind(number)}>{shown}</td>"


def _figure(figure: Figure) -> str:
    """The drawing inline; it is an image to whoever cannot see it, told by its caption."""
    drawing = _PROLOGUE.sub("", figure.svg, count=1)
    label = escape(figure.caption.replace("`", ""))
    drawing = drawing.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return f"<figure>{drawing}<figcaption>{_text(figure.caption)}</figcaption></figure>"


def _text(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
