"""The format and the compression of a file, recognized by the endings of its name."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["csv", "tsv", "jsonl", "parquet", "text"]
ENDINGS: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2"}
DELIMITERS = {"csv": ",", "tsv": "\t"}
EXPECTED = f"a name that ends in {', '.join(ENDINGS)}, or these with .gz, .zst or .bz2"


@dataclass(frozen=True)
class FileFormat:
    """A format, and pyarrow's name of the compression; None without compression."""

    kind: Kind
    compression: str | None


def file_format(place: str) -> FileFormat:
    """The format of a path or URL.

    Raises:
        ValueError: the ending is unknown.
    """
    name = PurePosixPath(place.partition("?")[0].lower())
    compression = COMPRESSIONS.get(name.suffix)
    kind = ENDINGS.get(PurePosixPath(name.stem).suffix if compression else name.suffix)
    if kind is None or (kind == "parquet" and compression):
        raise ValueError(f"the format of {place} is unknown; expected {EXPECTED}")
    return FileFormat(kind, compression)


def is_known(place: str) -> bool:
    """Whether the ending of a path or URL is known."""
    try:
        file_format(place)
    except ValueError:
        return False
    return True
