"""Reads a fragment of CSV or TSV at once if all of its rows are sound: much faster than row by row."""

import csv
import hashlib
import io

from tweetelm.archive.file_format import DELIMITERS
from tweetelm.archive.fragments import Fragment


def read_sound(fragment: Fragment, data: bytes) -> list[list[str]] | None:
    """The fields of all rows of a fragment with these bytes.

    None if a row cannot be read or has no text, or if the bytes are not those that were cut.
    """
    if hashlib.sha256(data).hexdigest() != fragment.content:
        return None
    try:
        lines = io.StringIO(data.decode(), newline="\n")
        found = [row for row in csv.reader(lines, delimiter=_delimiter(fragment), strict=True) if row]
    except (UnicodeDecodeError, csv.Error):
        return None
    names = [column.name for column in fragment.columns]
    width, text = len(names), names.index(fragment.text)
    sound = len(found) == fragment.rows and all(len(row) == width and row[text] for row in found)
    return found if sound else None


def _delimiter(fragment: Fragment) -> str:
    return DELIMITERS[fragment.file.format.kind]
