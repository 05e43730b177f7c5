"""The results of one model with one group of settings: a folder whose files are named by content.

OUT/hate-20261121-abc123-0a1b2c3d/
  settings.json                         model and settings
  rows/tweets.csv-000000-0a1b….parquet  the rows of a fragment, with the added columns
  refused/tweets.csv-000000-0a1b….jsonl its rows that cannot be read, if there are any
  done/tweets.csv-000000-0a1b….json     its counts; written last
  summary.json                          written when all fragments are done
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from tweetelm.archive.fragments import Fragment
from tweetelm.archive.table_files import OutputFormat
from tweetelm.files import object_storage
from tweetelm.files.atomic import is_temporary

ROWS, REFUSED, DONE = "rows", "refused", "done"
_DONE_NAME = re.compile(r"(?P<name>.+)\.(?P<place>[0-9a-f]{12})\.json")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What results depend on besides the input.

    Attributes:
        model: sha256 of the model's content.
        version: the model's version, in the added column.
        labels: the model's labels.
        text: name of the text column.
        prefix: prefix of the added columns.
        format: format of the results.
        fragment_rows: rows per fragment.
        precision: the value of --precision.
    """

    task: str
    model: str
    version: str
    labels: tuple[str, ...]
    text: str
    prefix: str
    format: OutputFormat
    fragment_rows: int
    precision: str

    def to_json(self) -> dict[str, Any]:
        """As data for JSON."""
        return {**asdict(self), "labels": list(self.labels)}


@dataclass(frozen=True)
class NamedFragment:
    """A fragment and the name of its files, without an ending."""

    name: str
    fragment: Fragment

    @property
    def done(self) -> str:
        """The name of its file in done/."""
        return f"{self.name}.{_digest([self.fragment.file.place])[:12]}.json"


@dataclass(frozen=True)
class ResultSet:
    """The files of one model and one group of settings, below a folder or URL."""

    out: str
    settings: Settings

    @property
    def folder(self) -> str:
        """The folder or URL; its name depends on the model's content and the settings."""
        digest = _digest(self.settings.to_json())
        return f"{self.out}/{self.settings.task}-{self.settings.version}-{digest[:8]}"

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically."""
        object_storage.write(f"{self.folder}/{name}", data)

    def remove_temporaries(self) -> None:
        """Remove files that a killed process has not completed."""
        for name in object_storage.listed(self.folder):
            if is_temporary(PurePosixPath(name)):
                object_storage.delete(f"{self.folder}/{name}")

    def write_settings(self) -> None:
        """Write settings.json."""
        self.write("settings.json", (json.dumps(self.settings.to_json(), indent=2) + "\n").encode())

    def rows_file(self, name: str) -> str:
        return f"{ROWS}/{name}.{self.settings.format}"

    def finished(self, found: Iterable[str]) -> dict[str, str]:
        """The names of complete fragments, with their files in done/, among the files found in the set."""
        files = set(found)
        return {
            match["name"]: f"{DONE}/{match.string}"
            for match in _done(files)
            if self.rows_file(match["name"]) in files
        }

    def outdated(self, found: Iterable[str], plan: Sequence[NamedFragment]) -> list[str]:
        """The files of the set that came from an earlier content of the plan's files."""
        files = set(found)
        current = {named.name for named in plan}
        places = {_digest([named.fragment.file.place])[:12] for named in plan}
        old = [match for match in _done(files) if match["place"] in places and match["name"] not in current]
        return sorted(
            files.intersection(file for match in old for file in self._files(match["name"], match.string))
        )

    def _files(self, name: str, done: str) -> tuple[str, str, str]:
        """The files of a fragment; first the one that makes it complete."""
        return f"{DONE}/{done}", self.rows_file(name), f"{REFUSED}/{name}.jsonl"


def _done(files: Iterable[str]) -> Iterator[re.Match[str]]:
    names = (file.removeprefix(f"{DONE}/") for file in files if file.startswith(f"{DONE}/"))
    return (match for match in map(_DONE_NAME.fullmatch, names) if match)


def name_fragments(fragments: Iterable[Fragment]) -> list[NamedFragment]:
    """Name fragments by the name of their file, their number in it, and their content.

    The folder of a file does not matter; files with the same name and content get different names.
    """
    seen: Counter[str] = Counter()
    named = []
    for fragment in fragments:
        columns = [list(column) for column in fragment.columns]
        content: list[Any] = [fragment.content, fragment.start, fragment.end, columns, fragment.text]
        name = f"{fragment.file.name}-{fragment.index:06d}-{_digest(content)[:16]}"
        seen[name] += 1
        copy = f"-{seen[name]}" if seen[name] > 1 else ""
        named.append(NamedFragment(name + copy, fragment))
    return named


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
