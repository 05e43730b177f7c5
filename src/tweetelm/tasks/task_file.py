"""Finds a task by its name or file, and converts tasks to JSON data and back."""

import tomllib
from pathlib import Path
from typing import Any

from tweetelm.files.paths import expanded, is_url
from tweetelm.tasks.parse import data_keys, definition, parse_task
from tweetelm.tasks.task import Task

SUFFIX = ".toml"
_BUILT_IN = ("hate", "deepfake")


def read_task(path: Path) -> Task:
    """Read a task file. Paths in it are relative to its folder.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not TOML, or a key is missing, unknown or has a wrong value; or its name is
            that of a built-in task.
    """
    task = _read(path, place=str(path.absolute().parent))
    if task.name in _BUILT_IN:
        raise ValueError(f"{path} is not a task: name is {task.name}, a built-in task; choose another name")
    return task


def read_built_in(name: str) -> Task:
    """Read a task file of the package."""
    return _read(Path(__file__).with_name(f"{name}{SUFFIX}"), place=None)


def _read(path: Path, place: str | None) -> Task:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; expected a task file, such as {path}/my-task{SUFFIX}")
    try:
        return parse_task(tomllib.loads(path.read_text(encoding="utf-8-sig")), place=place)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path} is not a task: {error}") from error


TASKS: dict[str, Task] = {name: read_built_in(name) for name in _BUILT_IN}


def find_task(name: str) -> Task:
    """A built-in task by its name, or the task of a file.

    Raises:
        ValueError: there is no such task, or its file is malformed.
    """
    if name in TASKS:
        return TASKS[name]
    if is_url(name):
        raise ValueError(f"task is {name}; expected {_expected()}; download the task file first")
    path = Path(expanded(name))
    if path.exists():
        return read_task(path)
    raise ValueError(f"there is no task or file {name!r}; expected {_expected()}")


def _expected() -> str:
    return (
        f"{', '.join(TASKS)}, or a task file such as my{SUFFIX} (`tweetelm data init my.csv --text COLUMN "
        "--label COLUMN` writes one)"
    )


def as_task(value: Any) -> Task:
    """A task that is given as such, by its name or file, or in the JSON form of a stored configuration."""
    if isinstance(value, Task):
        return value
    return find_task(value) if isinstance(value, str) else from_json(value)


def task_name(name: str) -> str:
    """The name of a task that is given by its name or file, as the registry knows it."""
    return find_task(name).name if name.endswith(SUFFIX) else name


def to_json(task: Task, *, files: bool = True) -> Any:
    """A task as JSON data: the name of a built-in task, or the definition.

    Args:
        task: the task.
        files: include its files, columns and split rule.
    """
    if TASKS.get(task.name) == task:
        return task.name
    values = definition(task)
    if files and task.data is not None:
        values["data"] |= data_keys(task.data)
        values["place"] = task.data.place
    return values


def from_json(values: Any) -> Task:
    """The task of `to_json`. No file is read. Raises ValueError if it is damaged or unknown."""
    if isinstance(values, str) and values in TASKS:
        return TASKS[values]
    if not isinstance(values, dict):
        raise ValueError(f"task is {values!r}; expected {', '.join(TASKS)} or a definition")
    keys = {key: value for key, value in values.items() if key != "place"}
    task = parse_task(keys, place=values.get("place"))
    if task.name in TASKS:
        raise ValueError(f"task {task.name!r} is built in; expected its name alone, not a definition")
    return task
