"""Parses a cluster file with the line and the comment of each value."""

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
    """A problem to fix before Ray is started. Line 0: it is not in the file but on this machine."""

    line: int
    what: str
    repair: str = field(default="", compare=False)


@dataclass(frozen=True)
class ClusterFile:
    """The text of a cluster file, and its parsed values."""

    path: Path
    text: str

    @cached_property
    def config(self) -> dict[str, Any]:
        """Return the parsed YAML.

        Raises:
            ValueError: the text is not YAML, or has no keys.
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
        """Return the line of a value: for an alias that of its anchor, for a missing value that of its
        parent."""
        return int(self._reach(path)[1].start_mark.line) + 1

    def line_of_key(self, *path: str | int) -> int:
        """Return the line of the last key of a path."""
        return int(self._reach(path)[0].start_mark.line) + 1

    def _reach(self, path: tuple[str | int, ...]) -> tuple[Any, Any]:
        """Return the key and value nodes at the path, or at its longest existing prefix."""
        node = (self._tree, self._tree)
        for step in path:
            inner = _child(node[1], step)
            if inner is None:
                break
            node = inner
        return node

    def missing(self) -> list[Problem]:
        """Return every value that is not filled in, with the comment that explains it."""
        lines = self.text.splitlines()
        return [
            Problem(row + 1, f"{key} is not filled in", _comment(lines, key)) for row, key in self._unfilled()
        ]

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the text with values in place of FILL-IN.

        The output `SecurityGroups` fills the key security_groups. Several values of one key are separated by
        commas and inserted in order.
        """
        turns = {name.lower(): cycle(re.split(r",\s*", value)) for name, value in values.items()}
        lines = self.text.splitlines(keepends=True)
        for row, key in self._unfilled():
            if turn := turns.get(key.replace("_", "")):
                code, mark, comment = lines[row].partition(" # ")
                first, *rest = code.split(FILL_IN)
                lines[row] = first + "".join(next(turn) + part for part in rest) + mark + comment
        return "".join(lines)

    def _unfilled(self) -> Iterator[tuple[int, str]]:
        """Yield the row, from 0, and the key of each line with FILL-IN outside of comments."""
        key = ""
        for row, line in enumerate(self.text.splitlines()):
            found = _KEY.match(line)
            key = found[1] if found else key
            if FILL_IN in _COMMENT.sub("", line) and not line.startswith("#"):
                yield row, key


def read(path: Path) -> ClusterFile:
    """Read a cluster file.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is not UTF-8 text.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected a Ray cluster file, such as cluster.yaml")
    try:
        return ClusterFile(path, path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error.reason}); expected a Ray cluster file") from None


def _comment(lines: list[str], key: str) -> str:
    """Return the comment after a key; for a value of several lines, it is on the first."""
    comments = (_COMMENT.search(line) for line in lines if line.startswith(f"  {key}:"))
    return next((found[1] for found in comments if found), "")


def _child(node: Any, step: str | int) -> tuple[Any, Any] | None:
    """Return the child nodes for a key or an index, directly or through `<<`; None if there is none."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return (node.value[step],) * 2 if step < len(node.value) else None
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    own = {key.value: (key, value) for key, value in pairs}
    if step in own or "<<" not in own:
        return own.get(step)
    return _child(own["<<"][1], step)
