"""Reads tables of labeled tweets: CSV, TSV, JSON lines and Parquet. Errors name the file and the row."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tweetelm.data.text_file import decoded, numbered

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
TEXT = ".txt"
COMPRESSED = (".gz", ".bz2", ".zst")
_DELIMITERS = (",", ";", "\t", "|")
Row = tuple[str, dict[str, Any]]


def is_table(path: Path) -> bool:
    """Whether the name ends in a known format, possibly compressed."""
    return _format(path) in FORMATS


def has_texts(path: Path) -> bool:
    """Whether the name ends in a known format or in that of a text file, possibly compressed."""
    return _format(path) in (*FORMATS, TEXT)


def read_texts(path: Path, column: str) -> Iterator[str]:
    """The texts in a column of a table, or the lines of a text file.

    Raises:
        ValueError: the file is malformed, the column is missing, or a value is missing or not a text.
    """
    if _format(path) == TEXT:
        lines = decoded(_bytes(path), path, mark=True).removesuffix("\n").split("\n")
        yield from (line.removesuffix("\r") for line in lines)
    else:
        yield from (text for _, (text,) in read_rows(path, [column]))


def read_rows(
    path: Path, wanted: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The wanted columns of every row, each row with its position for messages.

    Args:
        path: the file; its name gives its format.
        wanted: the columns, of which the first is the text.
        optional: further columns; a missing column or value is an empty string.

    Raises:
        ValueError: the file is malformed, a column is missing, or a value is missing or not a text.
    """
    for position, row in table_rows(path, wanted, optional):
        more = ("" if row.get(name) is None else _value(row, name, position, text=False) for name in optional)
        yield position, (*(_value(row, name, position, text=name == wanted[0]) for name in wanted), *more)


def table_rows(path: Path, wanted: Sequence[str] = (), optional: Sequence[str] = ()) -> Iterator[Row]:
    """Every row as a mapping, with its position. Raises ValueError if a `wanted` column is missing."""
    ending = _format(path)
    if ending == ".parquet":
        yield from _parquet(path, wanted, optional)
        return
    text = decoded(_bytes(path), path, mark=True)
    yield from (_json_lines if ending in (".jsonl", ".ndjson", ".json") else _csv)(path, text, ending, wanted)


def _format(path: Path) -> str:
    """The ending of the name in lower case, without that of the compression."""
    last = path.suffix.lower()
    return Path(path.stem).suffix.lower() if last in COMPRESSED else last


def _bytes(path: Path) -> bytes:
    """The content of a file, decompressed by the ending of its name."""
    import pyarrow as pa

    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            return bytes(stream.read())
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error}; copy it again") from error


def _csv(path: Path, text: str, ending: str, wanted: Sequence[str]) -> Iterator[Row]:
    delimiter = "\t" if ending == ".tsv" else _delimiter(text, wanted)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = numbered(reader, path)
    header = [name.strip() for name in next(rows, (str(path), []))[1]]
    _check_columns(path, header, wanted)
    for position, fields in rows:
        if not fields:  # a blank line
            continue
        if len(fields) != len(header):
            raise ValueError(
                f"{position}: has {len(fields)} fields; expected {len(header)} as in the header, separated "
                f"by {delimiter!r}; put fields that contain it, quotes or newlines in double quotes"
            )
        yield position, dict(zip(header, fields, strict=True))


def _delimiter(text: str, wanted: Sequence[str]) -> str:
    """The delimiter whose header has most of the wanted columns; a comma if none has any."""
    first = text[: text.find("\n")] if "\n" in text else text

    def found(delimiter: str) -> tuple[int, int]:
        header = next(csv.reader([first], delimiter=delimiter), [])
        return sum(name.strip() in wanted for name in header), len(header)

    return max(_DELIMITERS, key=found)


def _json_lines(path: Path, text: str, _: str, wanted: Sequence[str]) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        position = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{position}: not JSON: {error}; expected one object a line") from error
        if not isinstance(row, dict):
            raise ValueError(f"{position}: is {type(row).__name__}; expected one object a line")
        _check_columns(position, list(row), wanted)
        yield position, row


def _parquet(path: Path, wanted: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not a Parquet file: {error}") from error
    names = file.schema_arrow.names
    _check_columns(path, names, wanted)
    chosen = [*wanted, *(name for name in optional if name in names)] if wanted else None
    row = 0
    for batch in file.iter_batches(columns=chosen):
        for values in batch.to_pylist():
            row += 1
            yield f"{path}, row {row}", values


def _check_columns(where: object, found: Sequence[str], wanted: Sequence[str]) -> None:
    repeated = sorted({name for name in found if found.count(name) > 1 and name in wanted})
    if repeated:
        raise ValueError(f"{where}: the column {', '.join(repeated)} occurs twice; rename one of them")
    if missing := [name for name in wanted if name not in found]:
        raise ValueError(
            f"{where}: there is no column {', '.join(map(repr, missing))}; expected one of its columns: "
            f"{', '.join(found) or 'it has none'}"
        )


def _value(row: Mapping[str, Any], name: str, position: str, *, text: bool) -> str:
    """A value as text. Numbers and booleans are accepted as labels and groups, but not as tweets."""
    value = row[name]
    if isinstance(value, str):
        return value if text else value.strip()
    if value is None or value != value:  # NaN
        raise ValueError(f"{position}: {name} is missing; expected a {'text' if text else 'value'}")
    if text or isinstance(value, (dict, list)):
        raise ValueError(f"{position}: {name} is {value!r} of type {type(value).__name__}; expected a text")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
