"""A cluster file as a person wrote it: its values, and the line and comment of each."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import Any

import yaml

FILL_IN = "FILL-IN"
_KEY = re.compile(r"  (\w+):")
_COMMENT = re.compile(r"\s# (.*)$")


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that has to change before Ray is called. Line 0: it is not in the file."""

    line: int
    what: str
    repair: str = field(default="", compare=False)


@dataclass(frozen=True)
class ClusterFile:
    """The text of a cluster file, and what is in it."""

    path: Path
    text: str

    @cached_property
    def config(self) -> dict[str, Any]:
        """The values as Ray reads them.

        Raises:
            ValueError: it is not YAML, or has no keys.
        """
        try:
            config = yaml.safe_load(self.text)
        except yaml.YAMLError as error:
            raise ValueError(f"{self.path} is not YAML: {' '.join(str(error).split())}") from None
        if not isinstance(config, dict):
            raise ValueError(f"{self.path} has no keys; expected those of a Ray cluster file")
        return config

    @cached_property
    def _tree(self) -> Any:
        return yaml.compose(self.text)

    def line(self, *path: str | int) -> int:
        """Where a value stands; for an alias, where its anchor does; for what is not there, what holds it."""
        return int(self._reach(path)[1].start_mark.line) + 1

    def line_of_key(self, *path: str | int) -> int:
        """Where the last key of a path stands itself, whatever its value is."""
        return int(self._reach(path)[0].start_mark.line) + 1

    def _reach(self, path: tuple[str | int, ...]) -> tuple[Any, Any]:
        """Key and value, as far as the path is_rank0."""
        place = (self._tree, self._tree)
        for step in path:
            inner = _child(place[1], step)
            if inner is None:
                break
            place = inner
        return place

    def missing(self) -> list[Problem]:
        """Every value that is still to be filled in, with what the file says about it."""
        lines = self.text.splitlines()
        return [
            Problem(row + 1, f"{key} is not filled in", _comment(lines, key)) for row, key in self._unfilled()
        ]

    def filled(self, values: Mapping[str, str]) -> str:
        """The text with values in place of FILL-IN. `SecurityGroups` is for the key security_groups; several
        values of one key are separated by commas, and go in by their order."""
        turns = {name.lower(): cycle(re.split(r",\s*", value)) for name, value in values.items()}
        lines = self.text.splitlines(keepends=True)
        for row, key in self._unfilled():
            if turn := turns.get(key.replace("_", "")):
                code, mark, comment = lines[row].partition(" # ")
                first, *rest = code.split(FILL_IN)
                lines[row] = first + "".join(next(turn) + part for part in rest) + mark + comment
        return "".join(lines)

    def _unfilled(self) -> Iterator[tuple[int, str]]:
        """Row, from 0, and key of the lines that have a FILL-IN outside of comments."""
        key = ""
        for row, line in enumerate(self.text.splitlines()):
            found = _KEY.match(line)
            key = found[1] if found else key
            if FILL_IN in _COMMENT.sub("", line) and not line.startswith("#"):
                yield row, key


def read(path: Path) -> ClusterFile:
    """A cluster file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not text.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}; expected a Ray cluster file, such as cluster.yaml")
    try:
        return ClusterFile(path, path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error.reason}); expected a Ray cluster file") from None


def _comment(lines: list[str], key: str) -> str:
    """What stands behind a key; a value over several lines has it behind the first."""
    behind = (_COMMENT.search(line) for line in lines if line.startswith(f"  {key}:"))
    return next((found[1] for found in behind if found), "")


def _child(node: Any, step: str | int) -> tuple[Any, Any] | None:
    """Key and value that a node has under a key or an index, directly or by `<<`; None if nothing."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return (node.value[step],) * 2 if step < len(node.value) else None
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    own = {key.value: (key, value) for key, value in pairs}
    if step in own or "<<" not in own:
        return own.get(step)
    return _child(own["<<"][1], step)
