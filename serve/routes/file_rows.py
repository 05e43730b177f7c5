"""Rows of a file of tweets, one after the other: no more than one of them is in memory."""

import csv
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from serve.routes.bounded_json import loads

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
    """`text` of the row with this number, counted from 0, or what is wrong with it: a code and a message."""

    number: int
    text: str | None
    code: str = ""
    message: str = ""


def read_rows(file: BinaryIO, kind: str, *, column: str, line_bytes: int) -> Iterator[Row]:
    """The file's rows.

    Args:
        file: bytes in UTF-8; others spoil the row they stand in alone.
        kind: one of KINDS.
        column: where the text stands in a CSV's row or in a JSON object.
        line_bytes: longer lines are rows without text.

    Raises:
        ValueError: the file is UTF-16, or a CSV has no such column.
    """
    _skip_mark(file)
    lines = _lines(file, line_bytes)
    if kind == CSV:
        return _csv_rows(lines, column)
    return _line_rows(lines, _json_text(column) if kind == JSONL else _plain_text)


def _skip_mark(file: BinaryIO) -> None:
    """Go past the mark with which some programs begin a file in UTF-8."""
    start = file.read(len(BOM_UTF8))
    if start[:2] in (BOM_UTF16_LE, BOM_UTF16_BE):
        raise ValueError("the file is in UTF-16; save it as UTF-8 and send it again")
    if start != BOM_UTF8:
        file.seek(0)


Parse = Callable[[str], str | None]


def _lines(file: BinaryIO, limit: int) -> Iterator[str | None]:
    """Lines without their ends; None for one that is too long. Bytes that are no UTF-8 become surrogates,
    which every route refuses in a text."""
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
            yield Row(number, None, "invalid_json", "the line is neither a JSON text nor an object with one")
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
    # A quoted field may run over several lines, whose ends csv wants to see.
    reader = csv.reader(f"{'' if line is None else line}\n" for line in lines)
    try:
        names = [name.strip() for name in next(reader, [])]
    except csv.Error:
        names = []
    if column not in names:
        raise ValueError("the first line of a CSV names its columns, and none is called as ?column= says")
    return _fields(reader, names.index(column))


def _fields(reader: "Iterator[list[str]]", place: int) -> Iterator[Row]:
    number = 0
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:  # an opening quote that nothing closes
            yield Row(number, None, "invalid_type", "the row cannot be read as CSV: a field never ends")
        else:
            if len(fields) > place:
                yield Row(number, fields[place])
            else:
                yield Row(number, None, "invalid_type", "the row has too few fields")
        number += 1
