"""Renders a document as one self-contained HTML file: no script, no font, no request.

The first section is the first screen; links to the other sections follow it.
"""

import re
from html import escape
from importlib.resources import files

from tweetelm.evaluation.report.document import Cell, Document, Figure, Interval, Section, Table
from tweetelm.evaluation.report.formatting import is_numeric, show

_PROLOGUE = re.compile(r"^.*?(?=<svg\b)", re.DOTALL)
_WIDTH = re.compile(r'<svg\b[^>]*?\swidth="([\d.]+pt)"')
_CODE = re.compile(r"`([^`]+)`")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

SHORT = 16  # rows; a longer table starts folded


def render_html(document: Document) -> str:
    """The page. It follows the light or dark mode of the browser and can be printed."""
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
        *(_section(section, i) for i, section in enumerate(document.sections[:1])),
        _contents(document),
        *(_section(section, i) for i, section in enumerate(document.sections[1:], 1)),
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def _contents(document: Document) -> str:
    others = list(enumerate(document.sections))[1:]
    links = (f'<li><a href="#s{i}">{_text(section.title)}</a></li>' for i, section in others)
    return f"<nav><ul>{''.join(links)}</ul></nav>" if others else ""


def _section(section: Section, index: int) -> str:
    """Text and figures side by side, then the tables."""
    words = "\n".join(f"<p>{_text(paragraph)}</p>" for paragraph in section.text)
    parts = [f'<section id="s{index}">', f"<h2>{_text(section.title)}</h2>"]
    if section.figures:
        figures = "\n".join(map(_figure, section.figures))
        parts.append(f'<div class="pair"><div>{words}</div>\n<div class="figures">{figures}</div></div>')
    else:
        parts.append(words)
    for number, table in enumerate(section.tables):
        is_open = number == 0 and not section.figures and len(table.rows) <= SHORT
        parts.append(_folded(table, is_open=is_open))
    return "\n".join([*parts, "</section>"])


def _folded(table: Table, *, is_open: bool) -> str:
    """A table in a fold with its caption as the summary."""
    summary = table.caption or f"Table: {', '.join(filter(None, table.columns))}"
    return (
        f"<details{' open' if is_open else ''}><summary>{_text(summary)}</summary>\n{_table(table)}</details>"
    )


def _table(table: Table) -> str:
    """In a box that scrolls sideways if the table is wider than the page."""
    numeric = [is_numeric([row[i] for row in table.rows]) for i in range(len(table.columns))]
    head = "".join(
        f"<th{_kind(number)}>{_text(name)}</th>" for name, number in zip(table.columns, numeric, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(_cell(cell, number) for cell, number in zip(row, numeric, strict=True))}</tr>\n"
        for row in table.rows
    )
    return (
        f'<div class="box" tabindex="0"><table><thead><tr>{head}</tr></thead>\n'
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
    """Inline SVG, scaled from its own width; the caption is its text alternative."""
    drawing = _PROLOGUE.sub("", figure.svg, count=1)
    label = escape(figure.caption.replace("`", ""))
    width = _WIDTH.search(drawing)
    style = f' style="--width: {width[1]}"' if width else ""
    drawing = drawing.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return f"<figure{style}>{drawing}<figcaption>{_text(figure.caption)}</figcaption></figure>"


def _text(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
