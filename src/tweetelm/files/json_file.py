"""Reads and validates JSON files; errors name the file, the problem and the remedy."""

import difflib
import json
from collections.abc import Mapping
from types import NoneType
from typing import Any

Kind = type | tuple[type, ...]
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false", NoneType: "null"}
_KINDS |= {int: "a whole number", float: "a number"}


def parse_object(
    data: bytes, place: object, remedy: str, needed: Mapping[str, Kind] | None = None
) -> dict[str, Any]:
    """Parse the JSON object in a file's bytes.

    Args:
        data: the file's content.
        place: path or URL of the file, for the message.
        remedy: what to do about a damaged file, for the message.
        needed: required keys with the type or types of their values.

    Raises:
        ValueError: the data are empty, not UTF-8, not JSON or not an object, or a key is missing or has a
            wrong type.
    """
    try:
        return _checked(_decoded(data), needed or {})
    except ValueError as error:
        raise ValueError(f"{place} is damaged ({error}); {remedy}") from error


def _decoded(data: bytes) -> Any:
    if not data.strip():
        raise ValueError("it is empty")
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _checked(values: Any, needed: Mapping[str, Kind]) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise ValueError(f"it contains {_name(type(values))}; expected an object")
    check_fields(values, needed)
    return values


def check_fields(values: Mapping[str, Any], needed: Mapping[str, Kind], prefix: str = "") -> None:
    """Raise ValueError unless every key is present with a value of its type.

    A bool is not a number; an int is accepted for a float.
    """
    absent = [f"{prefix}{key}" for key in needed if key not in values]
    if absent:
        raise ValueError(f"it lacks {', '.join(absent)}")
    for key, kind in needed.items():
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not is_of(values[key], kinds):
            wanted = " or ".join(_name(each) for each in kinds)
            raise ValueError(f"{prefix}{key} is {_name(type(values[key]))}; expected {wanted}")


def check_keys(
    values: Mapping[str, Any], needed: Mapping[str, Kind], optional: Mapping[str, Kind], prefix: str = ""
) -> None:
    """Raise ValueError for an unknown key, naming the most similar known one, or as `check_fields` does."""
    known = [*needed, *optional]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{prefix}{key} is unknown{hint} (expected {', '.join(known)})")
    check_fields(values, needed, prefix)
    check_fields(values, {key: kind for key, kind in optional.items() if key in values}, prefix)


def is_of(value: Any, kinds: tuple[type, ...]) -> bool:
    """`isinstance` for JSON types: a bool is not a number, and an int is accepted for a float."""
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, kinds) or (isinstance(value, int) and float in kinds)


def _name(kind: type) -> str:
    return _KINDS.get(kind, kind.__name__)
