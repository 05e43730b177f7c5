"""Splits CSV, TSV, JSON lines and plain text into records. A damaged record does not affect the others."""

import csv
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tweetelm.archive.byte_lines import MAX_LINE, ByteLines, Line
from tweetelm.archive.file_format import DELIMITERS, Kind

_FAULTS = {
    "unexpected end of data": "a quoted field is not closed",
    "field larger than field limit (131072)": "a field exceeds 131,072 characters or is not closed",
    "new-line character seen in unquoted field": "a carriage return outside quotes",
}


class Record(NamedTuple):
    """One record.

    Attributes:
        raw: its bytes, with the line ending; of a very long line only the start.
        size: its bytes in the stream.
        value: the fields (a list), the object (a dict) or the text; None if there is a fault or if the
            record is a blank line.
        fault: why it cannot be read, or "".
    """

    raw: bytes
    size: int
    value: Any
    fault: str


def records(lines: ByteLines, kind: Kind) -> Iterator[Record]:
    """All records of a stream in order, with blank lines, so that the sizes add up to the stream's."""
    if kind in DELIMITERS:
        return _csv_records(lines, DELIMITERS[kind])
    return _line_records(lines, _json_object if kind == "jsonl" else _plain)


def is_blank(record: Record) -> bool:
    """Whether the record is a blank line, which is no row."""
    return record.value is None and not record.fault


def _line_records(lines: ByteLines, parse: Callable[[str], tuple[Any, str]]) -> Iterator[Record]:
    while (line := lines.next()) is not None:
        text, fault = _decoded(line)
        value, found = parse(text.rstrip("\r\n")) if not fault else (None, fault)
        yield Record(line.raw, line.size, value, found)


def _decoded(line: Line) -> tuple[str, str]:
    """The text of a line, and its fault or ""."""
    if line.size > len(line.raw):
        return "", f"the line has {line.size:,} bytes; expected at most {MAX_LINE:,}"
    try:
        return line.raw.decode(), ""
    except UnicodeDecodeError as error:
        fault = f"byte {error.start} of the row is not UTF-8"
        return line.raw.decode("utf-8", "surrogateescape"), fault


def _plain(text: str) -> tuple[Any, str]:
    return text, ""


def _json_object(text: str) -> tuple[Any, str]:
    if not text.strip():
        return None, ""
    try:
        value = json.loads(text)
    except ValueError as error:
        return None, f"not JSON: {error}"
    except RecursionError:
        return None, "not JSON: nested too deeply"
    if not isinstance(value, dict):
        return None, "the line is not a JSON object"
    return (None, "half of a surrogate pair") if _has_lone_surrogate(text, value) else (value, "")


def _has_lone_surrogate(text: str, value: Any) -> bool:
    """Whether a string of the object cannot be written as UTF-8."""
    if "\\ud" not in text.lower():
        return False
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


class _Taken:
    """Lines for `csv.reader`, which asks for another line only inside a quoted field."""

    def __init__(self, lines: ByteLines) -> None:
        self.lines = lines
        self.start_record()

    def start_record(self) -> None:
        self.taken: list[Line] = []
        self.size = 0
        self.fault = ""

    def __iter__(self) -> "_Taken":
        return self

    def __next__(self) -> str:
        line = self.lines.next() if self.size < MAX_LINE else None
        if line is None:
            raise StopIteration
        self.taken.append(line)
        self.size += line.size
        text, fault = _decoded(line)
        self.fault = self.fault or fault
        return text


def _csv_records(lines: ByteLines, delimiter: str) -> Iterator[Record]:
    source = _Taken(lines)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        source.start_record()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _damaged(source, str(error))
            continue
        taken = source.taken
        raw = taken[0].raw if len(taken) == 1 else b"".join(line.raw for line in taken)
        yield Record(raw, source.size, fields if fields and not source.fault else None, source.fault)


def _damaged(source: _Taken, error: str) -> Record:
    """The first line of a damaged record; the other lines that were taken are read again."""
    first, *others = source.taken
    source.lines.put_back(others)
    return Record(first.raw, first.size, None, _FAULTS.get(error, error))
