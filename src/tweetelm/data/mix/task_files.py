"""The data files and the task files of a mixed dataset."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from tweetelm.data.mix.build import Mix
from tweetelm.data.mix.recipe import GENERATED_TEST
from tweetelm.data.mix.rows import COLUMNS, Row
from tweetelm.tasks.parse import LICENSE, LIMITS, METRIC, definition

_HEAD = "# A mixed dataset of `tweetelm data mix`; see README.md. Do not edit: mix again.\n"
_KEPT = ("question", "metric", "suite")


def table(rows: Sequence[Row]) -> bytes:
    """A file of rows, `;`-separated as TweepFake's. All fields are quoted: a tweet may contain a CR."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    writer.writerows(row.fields for row in rows)
    return text.getvalue().encode()


def task_file(made: Mix, version: str, *, test: str) -> str:
    """The task file whose test split is the file `test`. Published results hold for the base's test only."""
    base = definition(made.base.task) if made.base.task else {}
    generated = test.startswith(GENERATED_TEST)
    kept = {key: base[key] for key in _KEPT if key in base}
    top = {"name": made.recipe.name, "labels": list(made.recipe.labels), "metric": METRIC} | kept
    if base.get("moderation"):
        top["moderation"] = base["moderation"]
    accounts = any(row.account for rows in made.splits.values() for row in rows)
    data = {
        "train": "train.csv",
        "validation": "validation.csv",
        "test": test,
        "text": "text",
        "label": "account.type",
        **({"group": "screen_name"} if accounts else {}),
        "slices": ["class_type"],
    }
    sections = [_keys(top), f"[data]\n{_keys(data)}", f"[card]\n{_keys(_card(made, version))}"]
    published = [] if generated else base.get("published", [])
    return "\n".join(
        [_HEAD + sections[0], *sections[1:], *(f"[[published]]\n{_keys(each)}" for each in published)]
    )


def _card(made: Mix, version: str) -> dict[str, str]:
    task, names = made.base.task, ", ".join(part.part.name for part in made.parts)
    whole = f"{task.dataset} with {names}" if task else names
    limits = task.limits if task else LIMITS
    return {
        "dataset": f"{made.recipe.name} {version[:12]} ({whole})",
        "license": license_of(made),
        "limits": f"{limits} Rows were added from {names}; README.md of the dataset describes them.",
    }


def license_of(made: Mix) -> str:
    """The terms of the whole: those of the recipe, or of the base and each part."""
    if made.recipe.license:
        return made.recipe.license
    found = {part.part.name: part.license for part in made.parts}
    if made.base.task:
        found = {made.base.task.name: made.base.task.license} | found
    return "; ".join(f"{name}: {terms or LICENSE}" for name, terms in found.items())


def _keys(values: dict[str, Any]) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in values.items() if value != {})


def _toml(value: Any) -> str:
    """A TOML value; JSON's strings, numbers and lists are TOML's."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_toml(key)} = {_toml(each)}' for key, each in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)
