"""Reads a file of tweets row by row, with at most one row in memory."""

import csv
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from serve.routes.json_body import loads

TEXT, CSV, JSONL = "text/plain", "text/csv", "application/x-ndjson"
KINDS = {
    TEXT: TEXT,
    CSV: CSV,
    JSONL: JSONL,
    "application/jsonl": JSONL,
    "application/x-jsonlines": JSONL,
}


@dataclass(frozen=True)
class Row:
    """One row: its number, counted from 0, and its text, or the code and message of its error."""

    number: int
    text: str | None
    code: str = ""
    message: str = ""


def read_rows(file: BinaryIO, kind: str, *, column: str, line_bytes: int) -> Iterator[Row]:
    """Read the rows of a file.

    Args:
        file: Bytes in UTF-8; invalid bytes fail only their own row.
        kind: Format: a value of `KINDS`.
        column: Name of the text column of CSV, or of the text field of a JSON object.
        line_bytes: Maximum bytes of a line; longer lines become rows with an error.

    Raises:
        ValueError: the file is UTF-16, or the CSV has no such column.
    """
    _skip_bom(file)
    lines = _lines(file, line_bytes)
    if kind == CSV:
        return _csv_rows(lines, column)
    return _line_rows(lines, _json_text(column) if kind == JSONL else _plain_text)


def _skip_bom(file: BinaryIO) -> None:
    """Skip the byte order mark of UTF-8; raises ValueError for that of UTF-16."""
    start = file.read(len(BOM_UTF8))
    if start[:2] in (BOM_UTF16_LE, BOM_UTF16_BE):
        raise ValueError("the file is in UTF-16; save it as UTF-8 and send it again")
    if start != BOM_UTF8:
        file.seek(0)


Parse = Callable[[str], str | None]


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
        elif (text := parse(line)) is None:
            yield Row(
                number, None, "invalid_json", "the line is neither a JSON string nor an object with a text"
            )
        else:
            yield Row(number, text)


def _plain_text(line: str) -> str | None:
    return line


def _json_text(column: str) -> Parse:
    def parse(line: str) -> str | None:
        try:
            found = loads(line.encode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            return None
        text = found.get(column) if isinstance(found, dict) else found
        return text if isinstance(text, str) else None

    return parse


def _csv_rows(lines: Iterator[str | None], column: str) -> Iterator[Row]:
    # A quoted field may span several lines; csv needs their line endings.
    reader = csv.reader(f"{'' if line is None else line}\n" for line in lines)
    try:
        names = [name.strip() for name in next(reader, [])]
    except csv.Error:
        names = []
    if column not in names:
        raise ValueError(
            "no column has the name given by ?column=; the first line of a CSV must list the column names"
        )
    return _fields(reader, names.index(column))


def _fields(reader: "Iterator[list[str]]", column: int) -> Iterator[Row]:
    number = 0
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:  # an opening quote without a closing one
            yield Row(number, None, "invalid_type", "the row is not valid CSV: a quoted field is not closed")
        else:
            if len(fields) > column:
                yield Row(number, fields[column])
            else:
                yield Row(number, None, "invalid_type", "the row has too few fields")
        number += 1
