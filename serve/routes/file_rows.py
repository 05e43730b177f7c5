"""Reads a file of tweets row by row, with at most one row in memory."""

import csv
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, BinaryIO

from serve.routes.json_body import loads

TEXT, CSV, JSONL = "text/plain", "text/csv", "application/x-ndjson"
TSV = "text/tab-separated-values"
KINDS = {
    TEXT: TEXT,
    CSV: CSV,
    TSV: TSV,
    JSONL: JSONL,
    "application/jsonl": JSONL,
    "application/x-jsonlines": JSONL,
}


@dataclass(frozen=True)
class Row:
    """One row: its number, counted from 0, and its text, or the code and message of its error.

    Attributes:
        columns: All columns of the row by name, if they are kept and could be read.
    """

    number: int
    text: str | None
    code: str = ""
    message: str = ""
    columns: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Table:
    """The rows of a file, and the names of its columns; None for JSON, where each row has its own."""

    names: tuple[str, ...] | None
    rows: Iterator[Row]


def read_rows(file: BinaryIO, kind: str, *, column: str, line_bytes: int, keep: bool = False) -> Table:
    """Read the rows of a file.

    Args:
        file: Bytes in UTF-8; invalid bytes fail only their own row.
        kind: Format: a value of `KINDS`.
        column: Name of the text column of CSV and TSV, or of the text field of a JSON object.
        line_bytes: Maximum bytes of a line; longer lines become rows with an error.
        keep: Give each row its columns. A row of CSV then needs as many fields as the header.

    Raises:
        ValueError: the file is UTF-16, or the CSV has no such column, or, with `keep`, two of one name.
    """
    _skip_bom(file)
    lines = _lines(file, line_bytes)
    if kind in (CSV, TSV):
        return _csv_rows(lines, column, delimiter="\t" if kind == TSV else ",", keep=keep)
    if kind == JSONL:
        return Table(None, _line_rows(lines, _json_parser(column, keep=keep)))
    return Table(("text",), _line_rows(lines, _keep_line if keep else _plain_line))


def _skip_bom(file: BinaryIO) -> None:
    """Skip the byte order mark of UTF-8; raises ValueError for that of UTF-16."""
    start = file.read(len(BOM_UTF8))
    if start[:2] in (BOM_UTF16_LE, BOM_UTF16_BE):
        raise ValueError("the file is in UTF-16; save it as UTF-8 and send it again")
    if start != BOM_UTF8:
        file.seek(0)


Parsed = tuple[str | None, Mapping[str, Any] | None]
"""The text of a line, and its columns if they are kept."""
Parse = Callable[[str], Parsed]


def _lines(file: BinaryIO, limit: int) -> Iterator[str | None]:
    """Yield lines without line endings; None for one that is too long. Bytes that are not UTF-8 become
    surrogates, which all routes reject."""
    while line := file.readline(limit + 2):
        text = line.rstrip(b"\r\n")
        yield text.decode("utf-8", "surrogateescape") if len(text) <= limit else None
        while line and not line.endswith(b"\n"):
            line = file.readline(limit)


def _line_rows(lines: Iterable[str | None], parse: Parse) -> Iterator[Row]:
    for number, line in enumerate(lines):
        if line is None:
            yield Row(number, None, "input_too_long", "the line is too long")
            continue
        text, columns = parse(line)
        if text is None:
            message = "the line is neither a JSON string nor an object with a text"
            yield Row(number, None, "invalid_json", message, columns)
        else:
            yield Row(number, text, columns=columns)


def _plain_line(line: str) -> Parsed:
    return line, None


def _keep_line(line: str) -> Parsed:
    return line, {"text": line}


def _json_parser(column: str, *, keep: bool) -> Parse:
    def parse(line: str) -> Parsed:
        try:
            found = loads(line.encode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            return None, None
        fields = {column: found} if isinstance(found, str) else found
        if not isinstance(fields, dict):
            return None, None
        text = fields.get(column)
        return text if isinstance(text, str) else None, fields if keep else None

    return parse


def _csv_rows(lines: Iterator[str | None], column: str, *, delimiter: str, keep: bool) -> Table:
    # A quoted field may span several lines; csv needs their line endings.
    reader = csv.reader((f"{'' if line is None else line}\n" for line in lines), delimiter=delimiter)
    try:
        names = next(reader, [])
    except csv.Error:
        names = []
    found = [name.strip() for name in names]
    if column not in found:
        raise ValueError(
            "no column has the name given by ?column=; the first line of a CSV must list the column names"
        )
    if keep and len(set(names)) < len(names):
        raise ValueError("two columns have the same name; with keep=columns each needs its own")
    header = _Header(tuple(names), found.index(column), keep)
    return Table(header.names, _records(reader, header))


@dataclass(frozen=True)
class _Header:
    names: tuple[str, ...]
    text: int
    keep: bool

    def row(self, number: int, fields: list[str]) -> Row:
        """Return the row with these fields."""
        columns = dict(zip(self.names, fields, strict=False)) if self.keep else None
        if self.keep and len(fields) != len(self.names):
            fields_read = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
            rest = "; the rest is left out" if len(fields) > len(self.names) else ""
            message = f"the row has {fields_read}; the header has {len(self.names)}{rest}"
            return Row(number, None, "invalid_type", message, columns)
        if len(fields) <= self.text:
            return Row(number, None, "invalid_type", "the row has too few fields")
        return Row(number, fields[self.text], columns=columns)


def _records(reader: "Iterator[list[str]]", header: _Header) -> Iterator[Row]:
    for number in count():
        try:
            yield header.row(number, next(reader))
        except StopIteration:
            return
        except csv.Error:  # an opening quote without a closing one
            yield Row(number, None, "invalid_type", "the row is not valid CSV: a quoted field is not closed")
