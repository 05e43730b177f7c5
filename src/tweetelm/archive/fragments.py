"""Cuts files into fragments: consecutive rows, identified by their content."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tweetelm.archive import json_columns
from tweetelm.archive.added_columns import check_collisions
from tweetelm.archive.byte_lines import ByteLines
from tweetelm.archive.byte_ranges import open_bytes, open_raw
from tweetelm.archive.file_format import DELIMITERS
from tweetelm.archive.inputs import InputFile
from tweetelm.archive.json_columns import Column
from tweetelm.archive.parquet_rows import check_text_type, parquet_schema
from tweetelm.archive.records import Record, is_blank, records

MAX_BYTES = 32 << 20  # a fragment ends at its number of rows or at this size
TEXT = "text"


@dataclass(frozen=True, kw_only=True)
class Fragment:
    """Consecutive rows of a file.

    Attributes:
        index: its number in the file, from 0.
        rows: its rows, with those that cannot be read.
        first_row: number of the file's rows before it.
        first_line: number of the file's lines before it, with the header.
        start, end: its decompressed bytes in the file; of a Parquet file, its rows.
        content: sha256 of its bytes; of a Parquet file, of the file.
        columns: the file's columns; () for a Parquet file, which has its own schema.
        text: name of the text column.
    """

    file: InputFile
    index: int
    rows: int
    first_row: int
    first_line: int
    start: int
    end: int
    content: str
    columns: tuple[Column, ...]
    text: str


@dataclass(frozen=True)
class CutFile:
    """A file, the names of its columns, and its fragments."""

    file: InputFile
    columns: tuple[str, ...]
    fragments: tuple[Fragment, ...]


def cut(file: InputFile, *, text: str, rows: int, added: Sequence[str] = ()) -> CutFile:
    """Cut a file into fragments of `rows` rows. Reads the whole file once, with bounded memory.

    Args:
        file: the file.
        text: name of the text column.
        rows: rows per fragment; the last one has fewer.
        added: names of columns that will be added, which the file must not have.

    Raises:
        ValueError: the file is damaged, has no such text column, or has an added column.
        OSError: the file cannot be read.
    """
    try:
        return (_cut_parquet if file.format.kind == "parquet" else _cut_lines)(file, text, rows, added)
    except OSError as error:
        if error.errno is not None or file.format.compression is None:
            raise
        raise ValueError(
            f"{file.place} is damaged ({error}); decompress what can be read into another file"
        ) from error


def _header(lines: ByteLines, file: InputFile, text: str, added: Sequence[str]) -> tuple[str, ...] | None:
    """Read the column names of a CSV, or of plain text; None for JSON lines, which have no header.

    Raises:
        ValueError: there is no usable header.
    """
    try:
        lines.skip_bom()
    except ValueError as error:
        raise ValueError(f"{file.place} {error}") from error
    if file.format.kind == "text":
        _check_columns(file, [TEXT], TEXT, added)
        return (TEXT,)
    if file.format.kind not in DELIMITERS:
        return None
    first = next((record for record in records(lines, file.format.kind) if not is_blank(record)), None)
    if first is None or first.fault:
        reason = f": {first.fault}" if first else ""
        raise ValueError(f"{file.place} has no header{reason}; expected the names of the columns first")
    _check_columns(file, first.value, text, added)
    return tuple(first.value)


def _check_columns(file: InputFile, names: list[str], text: str, added: Sequence[str]) -> None:
    """Raise ValueError unless the names are unique, one is the text column, and none will be added."""
    if text not in names:
        raise ValueError(
            f"{file.place} has no column {text!r}; its columns are {', '.join(map(repr, names))}: name the "
            "one with the text with --text COLUMN"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{file.place} has two columns {twice[0]!r}; rename one of them")
    check_collisions(file.place, names, added)


def _cut_lines(file: InputFile, text: str, rows: int, added: Sequence[str]) -> CutFile:
    stream = open_bytes(file)
    with stream:
        lines = ByteLines(stream)
        names = _header(lines, file, text, added)
        kinds: dict[str, str] = dict.fromkeys(names or (), "string")
        pieces = list(_pieces(lines, file, rows, kinds if names is None else None))
    if names is None and pieces:
        _check_columns(file, list(kinds), text, added)
        kinds[text] = "string"  # rows with another value are refused
    columns = tuple(Column(name, kind) for name, kind in kinds.items())
    column = TEXT if file.format.kind == "text" else text
    fragments = tuple(
        Fragment(file=file, index=index, columns=columns, text=column, **piece)
        for index, piece in enumerate(pieces)
    )
    return CutFile(file, tuple(kinds), fragments)


def _pieces(
    lines: ByteLines, file: InputFile, rows: int, kinds: dict[str, str] | None
) -> Iterator[dict[str, Any]]:
    """The position, size and hash of each fragment; adds the columns of JSON objects to `kinds`."""
    piece, row = _Piece(lines, 0), 0
    for record in records(lines, file.format.kind):
        piece.add(record)
        if kinds is not None and record.value is not None:
            json_columns.add_kinds(kinds, record.value)
        if piece.rows == rows or piece.size >= MAX_BYTES:
            yield piece.end()
            row += piece.rows
            piece = _Piece(lines, row)
    if piece.rows:
        yield piece.end()


class _Piece:
    """A fragment that is being cut."""

    def __init__(self, lines: ByteLines, first_row: int) -> None:
        self.start, self.first_line, self.first_row = lines.position, lines.number, first_row
        self.rows = self.size = 0
        self._digest = hashlib.sha256()

    def add(self, record: Record) -> None:
        self.rows += not is_blank(record)
        self.size += record.size
        self._digest.update(record.raw)

    def end(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "first_row": self.first_row,
            "first_line": self.first_line,
            "start": self.start,
            "end": self.start + self.size,
            "content": self._digest.hexdigest(),
        }


def _cut_parquet(file: InputFile, text: str, rows: int, added: Sequence[str]) -> CutFile:
    with open_raw(file) as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    with open_raw(file) as stream:
        schema, total = parquet_schema(file, stream)
    _check_columns(file, schema.names, text, added)
    check_text_type(file, text, schema.field(text).type)
    fragments = tuple(
        Fragment(
            file=file,
            index=index,
            rows=min(rows, total - start),
            first_row=start,
            first_line=0,
            start=start,
            end=min(start + rows, total),
            content=content,
            columns=(),
            text=text,
        )
        for index, start in enumerate(range(0, total, rows))
    )
    return CutFile(file, tuple(schema.names), fragments)
