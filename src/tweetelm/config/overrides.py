"""Compares and changes configurations by dotted keys."""

import dataclasses
import difflib
from typing import Any

from tweetelm.config.train_config import TrainConfig
from tweetelm.tasks import Task


def difference(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Return a line `key: old -> new` for every setting that differs between two identities."""
    lines: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        before, after, path = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(before, dict) and isinstance(after, dict):
            lines += difference(before, after, f"{path}.")
        elif before != after:
            lines.append(f"{path}: {before} -> {after}")
    return lines


def completed(stored: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return a stored identity with missing settings filled in by `defaults`."""
    known = {key: value for key, value in defaults.items() if key not in stored}
    parts = {
        key: completed(value, defaults[key])
        for key, value in stored.items()
        if isinstance(value, dict) and isinstance(defaults.get(key), dict)
    }
    return {**stored, **parts, **known}


def override(config: TrainConfig, values: dict[str, Any]) -> TrainConfig:
    """Return a copy of `config` with dotted keys replaced, e.g. ``{"optim.lr": 1e-4, "model.name":
    "scratch-1m"}``.

    Raises:
        ValueError: a key is not a setting; the message suggests the closest one.
    """
    for path, value in values.items():
        config = _replace(config, path.split("."), value, path)
    return config


def _replace(node: Any, keys: list[str], value: Any, path: str) -> Any:
    here = path[: len(path) - len(".".join(keys))]
    if not dataclasses.is_dataclass(node) or isinstance(node, type):
        raise ValueError(f"no setting is called {path!r}; {here.rstrip('.')} has no parts")
    names = [f.name for f in dataclasses.fields(node)]
    if keys[0] not in names:
        near = difflib.get_close_matches(keys[0], names, n=1, cutoff=0.0)
        raise ValueError(f"no setting is called {path!r}; did you mean {here}{near[0]}?")
    current = getattr(node, keys[0])
    if len(keys) == 1:
        group = dataclasses.is_dataclass(current) and not isinstance(current, Task)
        if group and not isinstance(value, type(current)):
            part = f"{path}.{dataclasses.fields(current)[0].name}"
            raise ValueError(f"{path!r} is a group of settings, not {value!r}; set one of them, as {part!r}")
        return dataclasses.replace(node, **{keys[0]: value})
    return dataclasses.replace(node, **{keys[0]: _replace(current, keys[1:], value, path)})
