"""Reads a task from a TOML file; errors name the file, the key and what was expected."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tweetelm.files.json_file import Kind, check_fields
from tweetelm.files.names import check_name
from tweetelm.tasks.metric import parse_metric
from tweetelm.tasks.task import Published, Task

_TOP: dict[str, Kind] = {"name": str, "question": str, "labels": list, "metric": str, "card": dict}
_TOP_OPTIONAL: dict[str, Kind] = {"data": dict, "published": list}
_DATA: dict[str, Kind] = {}
_DATA_OPTIONAL: dict[str, Kind] = {"slices": list}
_CARD: dict[str, Kind] = {"dataset": str, "license": str, "license_name": str, "limits": str}
_CARD_OPTIONAL: dict[str, Kind] = {"hub_dataset": str}
_PUBLISHED: dict[str, Kind] = {"system": str, "value": float, "source": str}
_PUBLISHED_OPTIONAL: dict[str, Kind] = {"per_group": dict}


def read_task(path: Path) -> Task:
    """Read a task file.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not TOML, or a key is missing, unknown or has a wrong value.
    """
    try:
        return _task(tomllib.loads(path.read_text(encoding="utf-8")))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path} is not a task: {error}") from error


def _task(values: dict[str, Any]) -> Task:
    _check(values, _TOP, _TOP_OPTIONAL, "")
    data, card = values.get("data", {}), values["card"]
    _check(data, _DATA, _DATA_OPTIONAL, "data.")
    _check(card, _CARD, _CARD_OPTIONAL, "card.")
    check_name(values["name"], "name")
    labels = _labels(values["labels"])
    parse_metric(values["metric"], labels)
    slices = _texts(data.get("slices", []), "data.slices")
    return Task(
        name=values["name"],
        question=values["question"],
        labels=labels,
        metric=values["metric"],
        dataset=card["dataset"],
        license=card["license"],
        license_name=card["license_name"],
        limits=card["limits"],
        hub_dataset=card.get("hub_dataset"),
        group_column=slices[0] if slices else None,
        published=tuple(_published(entry, n) for n, entry in enumerate(values.get("published", []), 1)),
    )


def _labels(found: list[Any]) -> tuple[str, ...]:
    labels = _texts(found, "labels")
    if len(labels) < 2:
        raise ValueError(f"labels has {len(labels)} of them; expected at least two")
    if repeated := sorted({label for label in labels if labels.count(label) > 1}):
        raise ValueError(f"labels repeats {', '.join(repeated)}; expected each label once")
    return labels


def _texts(found: Any, key: str) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(each, str) and each.strip() for each in found):
        raise ValueError(f"{key} is {found!r}; expected a list of non-empty strings")
    return tuple(found)


def _published(entry: Any, number: int) -> Published:
    prefix = f"published {number}: "
    if not isinstance(entry, dict):
        raise ValueError(f"{prefix}expected a table")
    _check(entry, _PUBLISHED, _PUBLISHED_OPTIONAL, prefix)
    groups = entry.get("per_group", {})
    check_fields(groups, dict.fromkeys(groups, float), f"{prefix}per_group.")
    return Published(
        system=entry["system"],
        value=float(entry["value"]),
        source=entry["source"],
        per_group=tuple((name, float(value)) for name, value in groups.items()),
    )


def _check(
    values: Mapping[str, Any], needed: Mapping[str, Kind], optional: Mapping[str, Kind], prefix: str
) -> None:
    known = [*needed, *optional]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{prefix}{key} is unknown{hint} (expected {', '.join(known)})")
    check_fields(values, needed, prefix)
    check_fields(values, {key: kind for key, kind in optional.items() if key in values}, prefix)
