"""Parses the definition of a task, from a task file or from stored JSON; errors name the key."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tweetelm.files.json_file import Kind, check_fields, check_keys
from tweetelm.files.names import check_name, is_printable
from tweetelm.tasks.metric import parse_metric
from tweetelm.tasks.task import CATEGORIES, Published, SplitRule, Task, TaskData

SUITES = ("hate", "deepfake")
METRIC, LICENSE = "macro_f1", "not stated"  # defaults
LIMITS = "The limits of models for this task are not described."
_Kinds = Mapping[str, Kind]
_LISTED: Kind = (str, list)
_TOP: _Kinds = {"name": str, "labels": list}
_TOP_OPTIONAL: _Kinds = {
    "question": str,
    "metric": str,
    "suite": str,
    "data": dict,
    "card": dict,
    "moderation": dict,
    "published": list,
}
_PATTERNS = ("folders", "files", "train", "validation", "test")
_DATA: _Kinds = {"slices": list, "text": str, "label": str, "group": str, "split": dict} | dict.fromkeys(
    _PATTERNS, _LISTED
)
_SPLIT: _Kinds = {"validation": float, "test": float, "seed": int}
_CARD: _Kinds = {"dataset": str, "license": str, "license_name": str, "limits": str, "hub_dataset": str}
_PUBLISHED: _Kinds = {"system": str, "value": float, "source": str}


def parse_task(values: Mapping[str, Any], *, place: str | None) -> Task:
    """A task from the keys of a task file.

    Args:
        values: the keys.
        place: folder or URL that relative paths refer to; None for a built-in task, and for a stored
            definition without files.

    Raises:
        ValueError: a key is missing, unknown or has a wrong value.
    """
    check_keys(values, _TOP, _TOP_OPTIONAL, "")
    data, card = values.get("data", {}), values.get("card", {})
    check_keys(data, {}, _DATA, "data.")
    check_keys(card, {}, _CARD, "card.")
    check_name(values["name"], "name")
    labels = _labels(values["labels"])
    metric = values.get("metric", METRIC)
    parse_metric(metric, labels)
    if (suite := values.get("suite")) is not None and (suite not in SUITES or len(labels) != 2):
        raise ValueError(f"suite is {suite!r}; expected {' or '.join(SUITES)}, for a task with two labels")
    return Task(
        name=values["name"],
        question=values.get("question", f"Which of {', '.join(labels[:5])} fits this tweet?"),
        labels=labels,
        metric=metric,
        dataset=card.get("dataset", values["name"]),
        license=card.get("license", LICENSE),
        license_name=card.get("license_name", "other"),
        limits=card.get("limits", LIMITS),
        hub_dataset=card.get("hub_dataset"),
        slices=_texts(data.get("slices", []), "data.slices"),
        suite=suite,
        moderation=_moderation(values.get("moderation", {}), labels),
        published=tuple(_published(entry, n) for n, entry in enumerate(values.get("published", []), 1)),
        data=None if place is None else _data(data, place),
    )


def definition(task: Task) -> dict[str, Any]:
    """The keys of a task's file, as JSON data, without its files and columns."""
    card = {key: getattr(task, key) for key in _CARD if getattr(task, key) is not None}
    published = [asdict(found) | {"per_group": dict(found.per_group)} for found in task.published]
    values: dict[str, Any] = {
        "name": task.name,
        "question": task.question,
        "labels": list(task.labels),
        "metric": task.metric,
        "data": {"slices": list(task.slices)},
        "card": card,
        "moderation": dict(task.moderation),
        "published": published,
    }
    return values | ({"suite": task.suite} if task.suite else {})


def data_keys(data: TaskData) -> dict[str, Any]:
    """The keys of `[data]` in a task's file, as JSON data, without `slices`."""
    values = {name: list(getattr(data, name)) for name in _PATTERNS if getattr(data, name)}
    if data.folders:
        return values
    columns = {"text": data.text, "label": data.label} | ({"group": data.group} if data.group else {})
    return values | columns | {"split": asdict(data.split)}


def _data(values: Mapping[str, Any], place: str) -> TaskData:
    patterns = {name: _patterns(values[name], f"data.{name}") for name in _PATTERNS if name in values}
    alone = [name for name in ("folders", "files") if name in patterns]
    if len(alone) == 2 or (alone and len(patterns) > 1) or not (alone or {"train", "test"} <= set(patterns)):
        raise ValueError(
            f"data has {', '.join(patterns) or 'no files'}; expected `files` (all rows), or `train` and "
            "`test` (and optionally `validation`), or `folders` (in TweetEval's layout)"
        )
    rule = values.get("split", {})
    check_keys(rule, {}, _SPLIT, "data.split.")
    split = SplitRule(**rule)
    if not (0 < split.validation < 1 and 0 < split.test < 1 and split.validation + split.test < 1):
        raise ValueError(
            f"data.split has validation {split.validation} and test {split.test}; expected shares between 0 "
            "and 1 that leave rows for training, such as { validation = 0.1, test = 0.2 }"
        )
    columns = {key: values[key] for key in ("text", "label", "group") if key in values}
    if "folders" in patterns and columns:
        raise ValueError(f"data has folders and {', '.join(columns)}; TweetEval's files have no columns")
    if len(set(columns.values())) < len(columns) or not all(columns.values()):
        raise ValueError(f"data has {columns}; expected a different column for each")
    return TaskData(**{"place": place, "split": split, **patterns, **columns})


def _patterns(found: Any, key: str) -> tuple[str, ...]:
    patterns = _texts([found] if isinstance(found, str) else found, key)
    if not patterns:
        raise ValueError(f"{key} is empty; expected a file, a URL or a pattern such as tweets/*.csv")
    return patterns


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
    if unprintable := [each for each in found if not is_printable(each)]:
        raise ValueError(f"{key} has {unprintable[0]!a}, with characters that control a terminal")
    return tuple(found)


def _moderation(found: Mapping[str, Any], labels: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    check_fields(found, dict.fromkeys(found, str), "moderation.")
    if unknown := [label for label in found if label not in labels]:
        raise ValueError(f"moderation names {unknown[0]!r}; expected labels of {', '.join(labels)}")
    if unknown := [category for category in found.values() if category not in CATEGORIES]:
        raise ValueError(f"moderation has {unknown[0]!r}; expected one of {', '.join(CATEGORIES)}")
    return tuple(found.items())


def _published(entry: Any, number: int) -> Published:
    prefix = f"published {number}: "
    if not isinstance(entry, dict):
        raise ValueError(f"{prefix}expected a table")
    check_keys(entry, _PUBLISHED, {"per_group": dict}, prefix)
    groups = entry.get("per_group", {})
    check_fields(groups, dict.fromkeys(groups, float), f"{prefix}per_group.")
    return Published(
        system=entry["system"],
        value=float(entry["value"]),
        source=entry["source"],
        per_group=tuple((name, float(value)) for name, value in groups.items()),
    )
