"""Validates card.json before its values are used or printed."""

import json
import math
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any

from tweetelm.files.json_file import Kind, check_fields
from tweetelm.files.names import is_printable, printable

_FIELDS: dict[str, Kind] = {
    "task": str,
    "labels": list,
    "version": str,
    "created": str,
    "data": dict,
    "git": (dict, NoneType),
    "config": dict,
    "libraries": dict,
    "base": dict,
    "metrics": dict,
    "metric": str,
    "temperature": float,
    "threshold": (float, NoneType),
    "text": dict,
    "max_tokens": int,
    "run": str,
    "files": dict,
}
_DATA: dict[str, Kind] = {"root": str, "md5": str, "synthetic": bool, "rows": dict}
_UNLABELED: dict[str, Kind] = {"files": list, "md5": str, "rows": int, "left_out": dict}
_MIX: dict[str, Kind] = {"version": str, "recipe": str, "base": dict, "parts": dict}
_BASE: dict[str, Kind] = {"name": str, "init": str, "source": str}
_TEACHER: dict[str, Kind] = {"version": str, "content": str}
_GIT: dict[str, Kind] = {"commit": str, "dirty": bool}
_INITS = ("pretrained", "random", "scratch")
_DEEPEST = 20


def parse_json(text: str) -> Any:
    """Parse JSON; raises ValueError if the text is empty, not JSON or nested too deeply."""
    if not text.strip():
        raise ValueError("it is empty")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is not a card: nested too deeply") from error


def check_card(values: Mapping[str, Any]) -> None:
    """Raise ValueError for fields of a wrong type, numbers that are not finite, and text that controls a
    terminal."""
    check_fields(values, {name: kind for name, kind in _FIELDS.items() if name in values})
    check_fields(values["data"], _DATA, "data.")
    for name in values["data"].keys() & {"unlabeled", "distilled"}:
        check_fields(values["data"], {name: dict}, "data.")
        check_fields(values["data"][name], _UNLABELED, f"data.{name}.")
        counts = values["data"][name]["left_out"]
        check_fields(counts, dict.fromkeys(counts, int), f"data.{name}.left_out.")
    if "mix" in values["data"]:
        check_fields(values["data"], {"mix": dict}, "data.")
        check_fields(values["data"]["mix"], _MIX, "data.mix.")
        for name in ("base", "parts"):
            hashes = values["data"]["mix"][name]
            check_fields(hashes, dict.fromkeys(hashes, str), f"data.mix.{name}.")
    check_fields(values["base"], _BASE, "base.")
    if "teacher" in values["base"]:
        check_fields(values["base"], {"teacher": dict}, "base.")
        check_fields(values["base"]["teacher"], _TEACHER, "base.teacher.")
    check_fields(values["git"] or {}, _GIT if values["git"] else {}, "git.")
    for name in ("libraries", "files"):
        check_fields(values.get(name, {}), dict.fromkeys(values.get(name, {}), str), f"{name}.")
    check_fields(values["data"]["rows"], dict.fromkeys(values["data"]["rows"], int), "data.rows.")
    check_fields(values["metrics"], dict.fromkeys(values["metrics"], dict), "metrics.")
    for split, scores in values["metrics"].items():
        headline = {values["metric"]: (float, NoneType)} if values["metric"] in scores else {}
        check_fields(scores, headline, f"metrics.{split}.")
    if values["base"]["init"] not in _INITS:
        raise ValueError(f"base.init is {values['base']['init']!a}; expected one of {', '.join(_INITS)}")
    if not all(isinstance(label, str) for label in values["labels"]) or not values["labels"]:
        raise ValueError("labels are not a list of names")
    for path, value in _scalars(values, "", 0):
        _check_scalar(path, value)


def _check_scalar(path: str, value: Any) -> None:
    if not is_printable(path) or (isinstance(value, str) and not is_printable(value)):
        raise ValueError(f"{printable(path)[:80]} contains characters that control a terminal")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{path} is {value}; expected a finite number")


def _scalars(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _DEEPEST:
        raise ValueError("it is not a card: nested too deeply")
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _scalars(inner, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _scalars(inner, path, depth + 1)
    else:
        yield path, value
