"""Reads UTF-8 text and CSV files strictly; errors name the file and the row or line."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import _csv

REMEDY = (
    "run `make data` (or `dvc pull` at the repository root) to download it, "
    "or use the embedded synthetic sample with `--data.root sample`"
)
CUT_OFF = "the file is probably truncated: download it again (`make data`)"


def lines(file: Path, missing: str = REMEDY, cut_off: str = CUT_OFF) -> list[str]:
    """The rows of a file, split at LF only: a tweet may contain other line separators (U+2028, U+0085)."""
    rows = content(file, missing).split("\n")
    if rows[-1]:
        raise ValueError(f"{file}, row {len(rows)}: no newline at the end; {cut_off}")
    return rows[:-1]


def content(file: Path, missing: str = REMEDY, *, mark: bool = False) -> str:
    """The text of a file.

    Args:
        file: the file.
        missing: what to do if it does not exist, for the message.
        mark: accept a byte order mark and drop it.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is empty, is not UTF-8, starts with a byte order mark, or contains a NUL character.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist; {missing}")
    return decoded(file.read_bytes(), file, mark=mark)


def decoded(data: bytes, file: Path, *, mark: bool = False) -> str:
    """The text of a file's bytes; the errors of `content`."""
    if not data:
        raise ValueError(f"{file} is empty; expected rows")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        bad = data[error.start : error.end]
        raise ValueError(f"{file}, line {line}: bytes {bad!r} are not UTF-8 ({error.reason})") from None
    if mark:
        text = text.removeprefix("\ufeff")
    if text.startswith("\ufeff"):
        raise ValueError(f"{file}, line 1: starts with a byte order mark; expected UTF-8 without one")
    if (at := text.find("\0")) >= 0:
        raise ValueError(f"{file}, line {text.count(chr(10), 0, at) + 1}: contains a NUL character")
    return text


def numbered(reader: "_csv.Reader", file: Path, first_row: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Rows with their position for messages: the file, the row (the header is row 0) and its first line."""
    row = first_row
    while True:
        position = f"{file}, row {row} (line {reader.line_num + 1})"
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cause = "a quote is not closed" if "unexpected end" in str(error) else str(error)
            raise ValueError(f"{position}: {cause}") from None
        yield position, fields
        row += 1
