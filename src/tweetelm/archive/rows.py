"""Reads the rows of a fragment: a table with the columns that came, and the rows that cannot be read."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tweetelm.archive import json_columns
from tweetelm.archive.bulk_csv import read_sound
from tweetelm.archive.byte_lines import ByteLines
from tweetelm.archive.byte_ranges import ByteRanges, open_raw
from tweetelm.archive.file_format import DELIMITERS
from tweetelm.archive.fragments import MAX_BYTES, Fragment
from tweetelm.archive.inputs import input_file
from tweetelm.archive.parquet_rows import read_parquet
from tweetelm.archive.records import Record, is_blank, records

NO_TEXT = "the text is missing"


@dataclass(frozen=True)
class RefusedRow:
    """A row that cannot be classified.

    Attributes:
        row: its number in the file, from 1, without the header.
        line: the number of its first line, from 1, with the header; None in a Parquet file.
        reason: why.
        raw: its content as it came; of a very long line only the start.
    """

    row: int
    line: int | None
    reason: str
    raw: str


@dataclass
class Rows:
    """The rows of a fragment.

    Attributes:
        table: the columns that came, in order, as a pyarrow table.
        texts: the text of each row.
        objects: each row as it came, if the rows are JSON objects.
        refused: the rows that are not in the table.
    """

    table: Any
    texts: list[str]
    objects: list[str] | None = None
    refused: list[RefusedRow] = field(default_factory=list)


def read_rows(fragment: Fragment, ranges: ByteRanges) -> Rows:
    """Read a fragment.

    Raises:
        ValueError: the file has changed since it was cut.
        OSError: it cannot be read.
    """
    try:
        return _read_parquet(fragment) if fragment.file.format.kind == "parquet" else _read(fragment, ranges)
    except BaseException:
        ranges.close()
        raise


def _read(fragment: Fragment, ranges: ByteRanges) -> Rows:
    if fragment.end - fragment.start > 2 * MAX_BYTES:  # a line is so long that it must not be held
        lines = ranges.lines(fragment.file, fragment.start, fragment.end, fragment.first_line)
        return _read_each(fragment, lines)
    data = ranges.read(fragment.file, fragment.start, fragment.end)
    found = read_sound(fragment, data) if fragment.file.format.kind in DELIMITERS else None
    if found is not None:
        column = [each.name for each in fragment.columns].index(fragment.text)
        return Rows(_table(fragment, found), [row[column] for row in found])
    lines = ByteLines(io.BytesIO(data), start=fragment.start, number=fragment.first_line)
    return _read_each(fragment, lines)


def _read_each(fragment: Fragment, lines: ByteLines) -> Rows:
    """Read row by row."""
    values: list[Any] = []
    texts: list[str] = []
    objects: list[str] = []
    refused: list[RefusedRow] = []
    check = _Check(fragment)
    for row, line, record in _numbered(fragment, lines):
        text, reason = check(record)
        if reason:
            refused.append(RefusedRow(row, line, reason, record.raw.decode("utf-8", "backslashreplace")))
            continue
        values.append(record.value)
        texts.append(text)
        if fragment.file.format.kind == "jsonl":
            objects.append(record.raw.decode().strip())
    is_json = fragment.file.format.kind == "jsonl"
    return Rows(_table(fragment, values), texts, objects if is_json else None, refused)


def _numbered(fragment: Fragment, lines: ByteLines) -> Iterator[tuple[int, int, Record]]:
    """The number, line number and record of each row.

    Raises:
        ValueError: the bytes are not those that were cut.
    """
    digest, row, line = hashlib.sha256(), fragment.first_row, lines.number
    for record in records(lines, fragment.file.format.kind):
        digest.update(record.raw)
        if not is_blank(record):
            row += 1
            yield row, line + 1, record
        line = lines.number
    if digest.hexdigest() != fragment.content:
        raise _changed(fragment)


class _Check:
    """Finds the text of a record, or the reason why it has none."""

    def __init__(self, fragment: Fragment) -> None:
        names = [column.name for column in fragment.columns]
        self.kind, self.text = fragment.file.format.kind, fragment.text
        self.width, self.column = len(names), names.index(fragment.text)

    def __call__(self, record: Record) -> tuple[str, str]:
        if record.fault:
            return "", record.fault
        value = record.value
        if self.kind in DELIMITERS:
            if len(value) != self.width:
                return "", f"the row has {len(value)} fields; expected {self.width}"
            text = value[self.column]
        else:
            text = value.get(self.text) if isinstance(value, dict) else value
        if text is None or text == "":
            return "", NO_TEXT
        if not isinstance(text, str):
            return "", f"the text is {type(text).__name__}; expected a string"
        return text, ""


def _table(fragment: Fragment, values: list[Any]) -> Any:
    import pyarrow

    if fragment.file.format.kind == "jsonl":
        return json_columns.table(fragment.columns, values)
    cells = [[value] for value in values] if fragment.file.format.kind == "text" else values
    columns = list(zip(*cells, strict=True)) or [() for _ in fragment.columns]
    return pyarrow.table(
        [pyarrow.array(column, pyarrow.string()) for column in columns],
        names=[column.name for column in fragment.columns],
    )


def _read_parquet(fragment: Fragment) -> Rows:
    file = fragment.file
    if input_file(file.place) != file:
        raise _changed(fragment)
    with open_raw(file) as stream:
        table = read_parquet(file, stream, fragment.start, fragment.end)
    texts = table.column(fragment.text).to_pylist()
    missing = [index for index, text in enumerate(texts) if not text]
    if not missing:
        return Rows(table, texts)
    refused = [_refused_row(fragment, table, index) for index in missing]
    kept = [index for index, text in enumerate(texts) if text]
    return Rows(table.take(kept), [texts[index] for index in kept], refused=refused)


def _refused_row(fragment: Fragment, table: Any, index: int) -> RefusedRow:
    raw = json_columns.dumps(table.slice(index, 1).to_pylist()[0])
    return RefusedRow(fragment.first_row + index + 1, None, NO_TEXT, raw)


def _changed(fragment: Fragment) -> ValueError:
    return ValueError(f"{fragment.file.place} changed while it was read; run the command again")
