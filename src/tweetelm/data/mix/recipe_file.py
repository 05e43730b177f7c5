"""Reads a recipe's file. Errors name the key."""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tweetelm.data.mix.recipe import EVERY, GENERATED_TEST, TRAIN, Columns, Cues, Part, Quotas, Recipe
from tweetelm.files.json_file import Kind, check_fields, check_keys
from tweetelm.files.names import check_name, is_printable
from tweetelm.tasks import TASKS, SplitRule, Task, find_task

_LARGEST_SEED = 2**31 - 1  # scikit-learn's is twice that; steps of the mix add to it
_USES = (TRAIN, GENERATED_TEST)
_TOP: Mapping[str, Kind] = {"name": str, "parts": list}
_TOP_OPTIONAL: Mapping[str, Kind] = {
    "seed": int,
    "base": str,
    "labels": list,
    "quotas": dict,
    "cues": dict,
    "split": dict,
    "license": str,
}
_PART: Mapping[str, Kind] = {"name": str, "path": str}
_PART_OPTIONAL: Mapping[str, Kind] = {
    "use": str,
    "generated_test": float,
    "columns": dict,
    "label": str,
    "account": str,
    "generator": str,
    "license": str,
}
_LIMIT: Kind = (int, dict)
_QUOTAS: Mapping[str, Kind] = {"label": _LIMIT, "generator": _LIMIT, "account": _LIMIT, "balance": bool}
_CUES: Mapping[str, Kind] = {"match": bool, "human": str, "goal": float}
_SPLIT: Mapping[str, Kind] = {"validation": float, "test": float}


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not TOML, or a key is missing, unknown or has a wrong value.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe {path}; docs/mix.md shows one")
    try:
        return _parsed(tomllib.loads(path.read_text(encoding="utf-8-sig")), str(path.absolute().parent))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path} is not a recipe: {error}") from error


def _parsed(values: dict[str, Any], place: str) -> Recipe:
    check_keys(values, _TOP, _TOP_OPTIONAL)
    check_name(values["name"], "name")
    if values["name"] in TASKS:
        raise ValueError(f"name is {values['name']}, a built-in task; choose another name")
    base = _base(values.get("base"), place)
    task = None if base is None else find_task(base)
    labels = _labels(values, task)
    cues = values.get("cues", {})
    check_keys(cues, {}, _CUES, "cues.")
    rule = values.get("split", {})
    if base is not None and rule:
        raise ValueError(
            f"split has no effect with a base: {values['base']} has its own splits; remove one of them"
        )
    return Recipe(
        name=values["name"],
        seed=_seed(values),
        base=base,
        labels=labels,
        parts=_parts(values["parts"], labels, task),
        quotas=_quotas(values.get("quotas", {}), labels),
        cues=_cues(cues, labels),
        split=_split(rule, _seed(values)),
        license=values.get("license", ""),
        place=place,
        values=values,
    )


def _seed(values: Mapping[str, Any]) -> int:
    seed = int(values.get("seed", 0))
    if not 0 <= seed <= _LARGEST_SEED:
        raise ValueError(f"seed is {seed}; expected a whole number from 0 to {_LARGEST_SEED}")
    return seed


def _base(base: str | None, place: str) -> str | None:
    """A built-in task's name, or the path of a task file, which is relative to the recipe."""
    return base if base is None or base in TASKS else str(Path(place) / base)


def _labels(values: Mapping[str, Any], task: Task | None) -> tuple[str, ...]:
    given = values.get("labels")
    if task is not None and given is None:
        return task.labels
    if task is not None or given is None:
        raise ValueError(
            'expected either base = "deepfake" (a task, whose splits are kept), or labels = ["human", "bot"] '
            "without a base"
        )
    if len(given) < 2 or len(set(map(str, given))) < len(given) or not all(map(_is_text, given)):
        raise ValueError(f"labels is {given}; expected at least two different names")
    return tuple(given)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and is_printable(value)


def _parts(entries: list[Any], labels: tuple[str, ...], base: Task | None) -> tuple[Part, ...]:
    if not entries:
        raise ValueError("there is no part; expected at least one [[parts]] with name and path")
    parts = tuple(_part(entry, number, labels) for number, entry in enumerate(entries, 1))
    names = [part.name for part in parts]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two parts are named {repeated[0]}; expected different names")
    if base is not None and base.name in names:
        raise ValueError(
            f"part {names.index(base.name) + 1}: name is {base.name}, the base's name; choose another"
        )
    return parts


def _part(entry: Any, number: int, labels: tuple[str, ...]) -> Part:
    prefix = f"part {number}: "
    if not isinstance(entry, dict):
        raise ValueError(f"{prefix}expected a table: [[parts]]")
    check_keys(entry, _PART, _PART_OPTIONAL, prefix)
    check_name(entry["name"], f"{prefix}name")
    columns = entry.get("columns", {})
    check_keys(columns, {}, {each.name: str for each in dataclasses.fields(Columns)}, f"{prefix}columns.")
    label = entry.get("label")
    if label is not None and label not in labels:
        raise ValueError(f"{prefix}label is {label!r}; expected one of {', '.join(labels)}")
    constants = {key: entry[key] for key in ("label", "account", "generator", "license") if key in entry}
    if bad := [key for key, value in constants.items() if not _is_text(value)]:
        raise ValueError(f"{prefix}{bad[0]} is {constants[bad[0]]!r}; expected a name")
    return Part(
        name=entry["name"],
        path=entry["path"],
        share=_share(entry, prefix),
        columns=Columns(**columns),
        **constants,
    )


def _share(entry: Mapping[str, Any], prefix: str) -> float:
    use, share = entry.get("use"), entry.get("generated_test")
    if use is not None and share is not None:
        raise ValueError(f"{prefix}has use and generated_test; expected one of them")
    if use is not None and use not in _USES:
        raise ValueError(
            f'{prefix}use is {use!r}; expected "train" or "generated-test", or instead a share for the test '
            "such as generated_test = 0.2"
        )
    if share is not None and not 0 < share < 1:
        raise ValueError(f"{prefix}generated_test is {share}; expected a share between 0 and 1, such as 0.2")
    return float(share) if share is not None else float(use == GENERATED_TEST)


def _quotas(values: Mapping[str, Any], labels: tuple[str, ...]) -> Quotas:
    check_keys(values, {}, _QUOTAS, "quotas.")
    limits = {key: _limits(values[key], key) for key in ("label", "generator", "account") if key in values}
    if unknown := [name for name in limits.get("label", {}) if name not in (*labels, EVERY)]:
        raise ValueError(f"quotas.label names {unknown[0]!r}; expected labels of {', '.join(labels)}")
    return Quotas(**limits, balance=values.get("balance", False))


def _limits(found: int | dict[str, Any], key: str) -> dict[str, int]:
    limits = found if isinstance(found, dict) else {EVERY: found}
    check_fields(limits, dict.fromkeys(limits, int), f"quotas.{key}.")
    if bad := [name for name, most in limits.items() if most < 0]:
        raise ValueError(f"quotas.{key}.{bad[0]} is {limits[bad[0]]}; expected a number of rows")
    return limits


def _cues(values: Mapping[str, Any], labels: tuple[str, ...]) -> Cues:
    human = values.get("human", "human" if "human" in labels else None)
    if human is not None and human not in labels:
        raise ValueError(f"cues.human is {human!r}; expected the label of human rows: {', '.join(labels)}")
    if values.get("match") and human is None:
        raise ValueError(f'cues.match needs the label of human rows: human = "{labels[0]}", for instance')
    goal = values.get("goal", Cues.goal)
    if not 0 < goal < 0.5 or not math.isfinite(goal):
        raise ValueError(f"cues.goal is {goal}; expected a distance from chance such as 0.05")
    return Cues(match=values.get("match", human is not None), human=human, goal=float(goal))


def _split(values: Mapping[str, Any], seed: int) -> SplitRule:
    check_keys(values, {}, _SPLIT, "split.")
    rule = SplitRule(**values, seed=seed)
    if not (0 < rule.validation < 1 and 0 < rule.test < 1 and rule.validation + rule.test < 1):
        raise ValueError(
            f"split has validation {rule.validation} and test {rule.test}; expected shares that leave rows "
            "for training, such as { validation = 0.1, test = 0.2 }"
        )
    return rule
