"""Columns for JSON objects: one type per key, without loss."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_INT64 = 2**63
_KINDS: dict[type, str] = {str: "string", bool: "bool", int: "int", float: "float"}


class Column(NamedTuple):
    """A column: "string", "bool", "int", "float", "null", or "json" for values written as JSON."""

    name: str
    kind: str


def add_kinds(kinds: dict[str, str], value: Mapping[str, Any]) -> None:
    """Add the keys of an object to the kinds known so far.

    Keys with values of several types, objects, lists or very large numbers become "json".
    """
    for key, found in value.items():
        kind = _kind(found)
        known = kinds.setdefault(key, kind)
        if known != kind and kind != "null":
            kinds[key] = kind if known == "null" else "json"


def cell(value: Any, kind: str) -> Any:
    """A value as it is stored in a column of that kind."""
    if kind != "json" or value is None:
        return value
    return dumps(value)


def dumps(value: Any) -> str:
    """JSON of any value of a table; dates and times as text, bytes as backslash escapes."""
    return json.dumps(value, ensure_ascii=False, default=_text)


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def table(columns: Sequence[Column], objects: Sequence[Mapping[str, Any]]) -> Any:
    """A pyarrow table of JSON objects; absent keys are null."""
    import pyarrow

    types = {"bool": pyarrow.bool_(), "int": pyarrow.int64(), "float": pyarrow.float64()}
    types |= {"null": pyarrow.null()}
    cells = {name: [cell(row.get(name), kind) for row in objects] for name, kind in columns}
    return pyarrow.table(
        {name: pyarrow.array(cells[name], types.get(kind, pyarrow.string())) for name, kind in columns}
    )


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if type(value) is int and not -_INT64 <= value < _INT64:
        return "json"
    return _KINDS.get(type(value), "json")
