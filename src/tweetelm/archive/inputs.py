"""Finds the files of an archive: paths, folders, globs and URLs."""

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from tweetelm.archive.file_format import EXPECTED, FileFormat, file_format, is_known
from tweetelm.files import object_storage
from tweetelm.files.paths import expanded, is_url, located

_WILDCARD = re.compile(r"[*?\[]")
_URL_WILDCARD = re.compile(r"[*\[]")  # in a URL, `?` starts the query


@dataclass(frozen=True)
class InputFile:
    """A file: absolute path or URL, bytes, time of its last change, and format."""

    place: str
    size: int
    changed_ns: int
    format: FileFormat

    @property
    def name(self) -> str:
        """The last component of the path."""
        return PurePosixPath(self.place.partition("?")[0]).name


def find_inputs(places: Sequence[str]) -> list[InputFile]:
    """The files of an archive: in the order of `places`, sorted within a folder or glob, each once.

    A folder means all files below it of a known format, without hidden ones.

    Raises:
        FileNotFoundError: a path, folder or glob has no file.
        ValueError: the format of a named file is unknown.
    """
    found: dict[str, InputFile] = {}
    for place in places:
        for file in _files(place):
            found.setdefault(file.place, file)
    return list(found.values())


def input_file(place: str) -> InputFile:
    """The file at a path or URL.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: its format is unknown.
    """
    from pyarrow import fs

    info = _info(place)
    if info.type != fs.FileType.File:
        raise FileNotFoundError(f"{place} does not exist or is not a file; name one that exists")
    return _described(place, info)


def _files(place: str) -> list[InputFile]:
    from pyarrow import fs

    kind = _info(place).type
    if kind == fs.FileType.Directory:
        found = list(_below(located(place), r".*"))
    elif kind == fs.FileType.File:
        return [input_file(located(place))]
    elif is_url(place) and _URL_WILDCARD.search(place):
        found = list(_matching_url(place))
    elif not is_url(place) and _WILDCARD.search(place):
        paths = sorted(glob.glob(expanded(place), recursive=True))
        found = [input_file(located(path)) for path in paths if is_known(path)]
    else:
        raise FileNotFoundError(f"{place} does not exist; name a file, a folder, a glob or a URL")
    if not found:
        raise FileNotFoundError(f"{place} has no file to classify; expected {EXPECTED}")
    return found


def _info(place: str) -> Any:
    filesystem, path = object_storage.find(place)
    with object_storage.explained(place):
        return filesystem.get_file_info(path.rstrip("/") or "/")


def _matching_url(place: str) -> Iterator[InputFile]:
    from fsspec.utils import glob_translate

    first = _URL_WILDCARD.search(place)
    assert first is not None
    folder, _, _ = place[: first.start()].rpartition("/")
    yield from _below(folder, glob_translate(place[len(folder) + 1 :]))


def _below(folder: str, pattern: str) -> Iterator[InputFile]:
    """The files below a folder or URL whose relative path matches, sorted."""
    for name, info in object_storage.listed(folder).items():
        hidden = any(part.startswith((".", "_")) for part in name.split("/"))
        if not hidden and is_known(name) and re.fullmatch(pattern, name):
            yield _described(f"{folder}/{name}", info)


def _described(place: str, info: Any) -> InputFile:
    return InputFile(place, info.size, info.mtime_ns or 0, file_format(place))
