"""Settings of a run as keyword arguments: `epochs=1`, `lr=1e-4`, `data_limit=100`."""

import dataclasses
import difflib
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tweetelm.config.train_config import TrainConfig

_ELSEWHERE = ("run.", "tracking.")
_HERE = ("run.threshold",)
_PLAIN: dict[Any, type] = {Literal: str, tuple: tuple}
_ARGUMENTS = {"task": "the first argument", "model.name": "the argument `model`"}


def by_keyword() -> dict[str, str]:
    """The dotted key of each setting by its keywords.

    A keyword is the key with `_` for the dot, as `optim_lr`, or its last part, as `lr`. The last part never
    means a setting of the sections `pretrain` and `distill`: `epochs` is `loop.epochs`, and `pretrain_epochs`
    is the other.
    """
    keys = list(_hints(TrainConfig))
    short = {
        key.rpartition(".")[2]: key
        for key in keys
        if not key.startswith(("pretrain.", "distill.", "run.", "tracking.", "model.name"))
    }
    return (
        short | {key.replace(".", "_"): key for key in keys} | {key.rpartition(".")[2]: key for key in _HERE}
    )


def from_keywords(values: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted key, for `override`.

    Raises:
        ValueError: a keyword is unknown, set elsewhere, or given twice, or a value has another type.
    """
    known, hints, found = by_keyword(), _hints(TrainConfig), dict[str, Any]()
    for keyword, value in values.items():
        key = known.get(keyword)
        if key is None:
            near = difflib.get_close_matches(keyword, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "`tweetelm train --help-all` lists all"
            raise ValueError(f"there is no setting {keyword!r}; {hint}")
        if key.startswith(_ELSEWHERE) and key not in _HERE:
            raise ValueError(f"{keyword} is a setting of `tweetelm train`, without effect here; omit it")
        if key in _ARGUMENTS:
            raise ValueError(f"{keyword} is {_ARGUMENTS[key]}; pass it there")
        if key in found:
            raise ValueError(
                f"{key} is given twice; omit one of {', '.join(k for k in values if known[k] == key)}"
            )
        _check_type(keyword, value, hints[key])
        found[key] = value
    return found


def _hints(section: type, prefix: str = "") -> dict[str, Any]:
    """The type of each setting by dotted key."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(section).items():
        if dataclasses.is_dataclass(hint) and name != "task":
            found |= _hints(hint, f"{prefix}{name}.")  # type: ignore[arg-type]  # a dataclass is a type
        else:
            found[prefix + name] = hint
    return found


def _check_type(keyword: str, value: Any, hint: Any) -> None:
    """Raise ValueError for a value of another type; choices are checked by the section."""
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    allowed = [_PLAIN.get(get_origin(kind), kind) for kind in kinds]
    if float in allowed:
        allowed.append(int)
    if tuple in allowed:
        allowed.append(list)
    if (isinstance(value, bool) and bool not in allowed) or not isinstance(value, tuple(allowed)):
        names = " or ".join("None" if kind is types.NoneType else kind.__name__ for kind in allowed)
        raise ValueError(f"{keyword} is {value!r}, a {type(value).__name__}; expected {names}")
