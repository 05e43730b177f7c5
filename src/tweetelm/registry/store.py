"""Folders and JSON files under a root that is a local path or any fsspec URL (s3://…, memory://…)."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

CARD = "card.json"
CHUNK = 1 << 20


@dataclass(frozen=True)
class Store:
    """A root on some file system; every path below is relative to it, with forward slashes.

    A local folder appears by one rename. Object storage has none, so there card.json is written last: on
    both, a folder that has its card.json is whole.
    """

    fs: Any
    root: str
    url: str

    @classmethod
    def open(cls, url: str | Path) -> "Store":
        fs, root = url_to_fs(str(url))
        return cls(fs, root.rstrip("/"), str(url).rstrip("/"))

    @property
    def local(self) -> bool:
        return isinstance(self.fs, LocalFileSystem)

    def path(self, name: str) -> str:
        """The file system's own path of `name`."""
        return f"{self.root}/{name}"

    def address(self, name: str) -> str:
        """What a person would type for `name`: an absolute local path, or a URL."""
        return self.path(name) if self.local else f"{self.url}/{name}"

    def read_text(self, name: str) -> str | None:
        """Contents of a file, or None where there is none."""
        try:
            return str(self.fs.cat_file(self.path(name)).decode())
        except FileNotFoundError:
            return None

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Replace a file at once: a reader sees the old contents or the new, a crash leaves the old."""
        data = (json.dumps(value, indent=2) + "\n").encode()
        if not self.local:
            self.fs.pipe_file(self.path(name), data)
            return
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        _write(partial, data)
        os.replace(partial, target)

    def folders(self, name: str) -> list[str]:
        """Names of the folders inside `name`, in order; none where it does not exist."""
        self.fs.invalidate_cache()
        try:
            entries = self.fs.ls(self.path(name), detail=True)
        except FileNotFoundError:
            return []
        return sorted(e["name"].rstrip("/").rsplit("/", 1)[-1] for e in entries if e["type"] == "directory")

    def put(self, name: str, content: Mapping[str, Path | bytes]) -> None:
        """Store a new folder from its files' contents: bytes, or a local file to copy. One is card.json."""
        if self.local:
            self._put_local(Path(self.path(name)), content)
            return
        for file in sorted(content, key=lambda file: file == CARD):
            source, target = content[file], self.path(f"{name}/{file}")
            if isinstance(source, bytes):
                self.fs.pipe_file(target, source)
            else:
                self.fs.put_file(str(source), target)

    def _put_local(self, target: Path, content: Mapping[str, Path | bytes]) -> None:
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            for file, source in content.items():
                place = partial / file
                place.parent.mkdir(parents=True, exist_ok=True)
                _write(place, source)
            _settle(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def fetch(self, name: str, files: Mapping[str, str], target: Path) -> None:
        """Download a folder to `target`, checking each file's sha256; `target` appears whole or not at all.

        Raises:
            ValueError: a file is not what the card says.
        """
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            for file in (*files, CARD):
                place = partial / file
                place.parent.mkdir(parents=True, exist_ok=True)
                self.fs.get_file(self.path(f"{name}/{file}"), str(place))
            check_files(partial, files)
            _settle(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def sha256(source: Path | bytes) -> str:
    """Hex digest of bytes or of a file's contents."""
    digest = hashlib.sha256()
    if isinstance(source, bytes):
        digest.update(source)
        return digest.hexdigest()
    with source.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def check_files(folder: Path, files: Mapping[str, str]) -> None:
    """Raise ValueError naming the first file of `folder` whose sha256 is not the one expected."""
    for name, expected in files.items():
        found = sha256(folder / name)
        if found != expected:
            raise ValueError(f"{folder / name} has sha256 {found}, its card says {expected}: it is damaged")


def _settle(partial: Path, target: Path) -> None:
    """Give a finished folder its name; where another process was faster with it, that folder stays."""
    try:
        partial.rename(target)
    except OSError:
        if not (target / CARD).is_file():
            raise


def _write(target: Path, source: Path | bytes) -> None:
    """Write through to the disk, so that a name never outlives its contents in a power cut."""
    with target.open("wb") as file:
        if isinstance(source, bytes):
            file.write(source)
        else:
            with source.open("rb") as origin:
                shutil.copyfileobj(origin, file, CHUNK)
        file.flush()
        os.fsync(file.fileno())
