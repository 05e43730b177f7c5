"""Reads rows of Parquet files without holding a file or a row group in memory."""

from collections.abc import Iterator
from typing import Any

from tweetelm.archive.inputs import InputFile

BATCH = 4096  # rows


def parquet_schema(file: InputFile, stream: Any) -> tuple[Any, int]:
    """The arrow schema and the number of rows.

    Raises:
        ValueError: the file is no Parquet file.
    """
    parquet = _open(file, stream)
    return parquet.schema_arrow, parquet.metadata.num_rows


def check_text_type(file: InputFile, column: str, kind: Any) -> None:
    """Raise ValueError unless an arrow type holds text."""
    from pyarrow import types

    value = kind.value_type if types.is_dictionary(kind) else kind
    if not (types.is_string(value) or types.is_large_string(value) or types.is_string_view(value)):
        raise ValueError(f"column {column!r} of {file.place} has type {kind}; expected string")


def read_parquet(file: InputFile, stream: Any, start: int, end: int) -> Any:
    """The rows from `start` to `end` as a pyarrow table."""
    import pyarrow

    parquet = _open(file, stream)
    batches = list(_batches(parquet, start, end))
    return pyarrow.Table.from_batches(batches, parquet.schema_arrow)


def _batches(parquet: Any, start: int, end: int) -> Iterator[Any]:
    """The parts of a file's batches that lie between two rows."""
    first = 0
    for group in range(parquet.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        if first < end and first + rows > start:
            yield from _parts(parquet.iter_batches(BATCH, row_groups=[group]), first, start, end)
        first += rows


def _parts(batches: Iterator[Any], first: int, start: int, end: int) -> Iterator[Any]:
    for batch in batches:
        low, high = max(start - first, 0), min(end - first, len(batch))
        if high > low:
            yield batch.slice(low, high - low)
        first += len(batch)
        if first >= end:
            return


def _open(file: InputFile, stream: Any) -> Any:
    import pyarrow
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(stream)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{file.place} is no Parquet file: {error}") from error
