"""Writes tables as Parquet, CSV or JSON lines."""

import csv
import io
from collections.abc import Iterable
from typing import Any, Literal

from tweetelm.archive.json_columns import dumps

OutputFormat = Literal["parquet", "csv", "jsonl"]


def table_bytes(came: Any, added: Any, objects: list[str] | None, kind: OutputFormat) -> bytes:
    """The content of a file with the columns that came, then the added ones.

    Args:
        came: a pyarrow table.
        added: a pyarrow table with as many rows.
        objects: the rows of `came` as JSON objects, which JSON lines keep as they are.
        kind: the format.
    """
    if kind == "jsonl" and objects is not None:
        return _joined(objects, added)
    table = came
    for name, column in zip(added.column_names, added.columns, strict=True):
        table = table.append_column(name, column)
    if kind == "parquet":
        return _parquet(table)
    rows = table.to_pylist()
    if kind == "csv":
        return _csv([table.column_names, *([_cell(value) for value in row.values()] for row in rows)])
    return "".join(dumps(row) + "\n" for row in rows).encode()


def _parquet(table: Any) -> bytes:
    import pyarrow
    import pyarrow.parquet as pq

    target = pyarrow.BufferOutputStream()
    pq.write_table(table, target, compression="zstd")
    return bytes(target.getvalue())


def _joined(objects: list[str], added: Any) -> bytes:
    """JSON objects with members added at the end; the other members stay as they were written."""
    lines = []
    for text, row in zip(objects, added.to_pylist(), strict=True):
        members = text[:-1].rstrip()
        lines.append(f"{members}{'' if members == '{' else ', '}{dumps(row)[1:]}\n")
    return "".join(lines).encode()


def _csv(rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, bool | list | dict):
        return dumps(value)
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
