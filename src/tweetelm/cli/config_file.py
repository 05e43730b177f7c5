"""`--config FILE`: settings of a command from a YAML file. Flags on the command line win."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tweetelm.cli.help_pages import Option, options

FLAG = "--config"
_UNSET = ("", "~", "null", "Null", "NULL")
_SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def with_config_file(target: Any, words: Sequence[str]) -> list[str]:
    """Replace `--config FILE` on a command line by the flags with the settings of the file.

    Keys are the names of flags, nested (`optim:` with `lr:` below it) or dotted (`optim.lr`). A key that is
    empty or null keeps the default.

    Args:
        target: the dataclass or function that defines the flags.
        words: the command line.

    Raises:
        ValueError: the file is missing, is not YAML, or has an unknown key or a value of a wrong kind.
    """
    file, rest = _taken(words)
    if file is None:
        return rest
    known = {option.name: option for option in options(target) if not option.positional}
    given = {_plain(word) for word in rest if word.startswith("--")}
    settings = _settings(file, known)
    return [*(flag for name, flags in settings if name not in given for flag in flags), *rest]


def _taken(words: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The file, and the other words."""
    file: Path | None = None
    rest, left = [], iter(words)
    for word in left:
        if word != FLAG and not word.startswith(f"{FLAG}="):
            rest.append(word)
            continue
        name = word.partition("=")[2] or next(left, "")
        if file is not None or not name or name.startswith("--"):
            raise ValueError(f"{FLAG} needs one file, such as {FLAG} run.yaml")
        file = Path(name).expanduser()
    return file, rest


def _plain(word: str) -> str:
    """The option's name of a flag: `--data.no-drop-overlap=…` gives `data.drop-overlap`."""
    head, dot, last = word[2:].partition("=")[0].replace("_", "-").rpartition(".")
    return f"{head}{dot}{last.removeprefix('no-')}"


def _settings(file: Path, known: Mapping[str, Option]) -> Iterator[tuple[str, list[str]]]:
    """Each setting's name and its words on a command line."""
    texts, values = _read(file)
    for key, text in _flat(texts, known):
        name = key.replace("_", "-")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise ValueError(f"{file}: {key} is unknown; did you mean {near[0].replace('-', '_')}?")
        if isinstance(text, Mapping):
            text = json.dumps(_at(values, key))
        if text not in _UNSET:
            yield name, _words(file, known[name], text)


def _read(file: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The file with every scalar as text, and with YAML's types."""
    import yaml

    try:
        content = file.read_text(encoding="utf-8")
        texts, values = (yaml.load(content, Loader=loader) for loader in (yaml.BaseLoader, yaml.SafeLoader))
    except FileNotFoundError:
        raise ValueError(f"{file} does not exist; expected a YAML file with settings") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(texts, Mapping):
        raise ValueError(f"{file} has no settings; expected lines such as `task: hate`")
    return texts, values


def _flat(
    values: Mapping[str, Any], known: Mapping[str, Option], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Dotted keys with their values; a mapping is kept whole where a flag has its name."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name not in known:
            yield from _flat(value, known, f"{name}.")
        else:
            yield name, value


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def _words(file: Path, option: Option, text: Any) -> list[str]:
    """One setting as words of a command line."""
    flag = f"--{option.name}"
    if option.value == "":
        if not isinstance(text, str) or text.lower() not in _SWITCH:
            raise ValueError(f"{file}: {option.name} is {text!r}; expected true or false")
        head, dot, last = option.name.rpartition(".")
        return [flag if _SWITCH[text.lower()] else f"--{head}{dot}no-{last}"]
    if isinstance(text, list):
        if not option.value.endswith("…"):
            raise ValueError(f"{file}: {option.name} is a list; expected one value")
        return [flag, *map(str, text)]
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def to_yaml(settings: Mapping[str, Any]) -> str:
    """A configuration as the text of a `--config` file; settings without a value are left out."""
    import yaml

    plain = json.loads(json.dumps(settings))
    return str(yaml.safe_dump(_without_unset(plain), sort_keys=False, allow_unicode=True))


def _without_unset(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_unset(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }
