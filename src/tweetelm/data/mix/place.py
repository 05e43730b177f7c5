"""Moves a complete dataset to its folder, in place of another one if asked. An interruption loses neither."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from tweetelm.data.mix.lineage import MIX_FILE
from tweetelm.files import atomic
from tweetelm.files.json_file import parse_object

README = "README.md"
_ASIDE = ".replaced"  # after the hidden name; so it is no staging folder, which may be removed


def check_target(folder: Path) -> None:
    """Raise FileExistsError unless the folder is new, empty or a mixed dataset."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; name another folder with --out FOLDER")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MIX_FILE).is_file():
        raise FileExistsError(
            f"{folder} has files that are not a mixed dataset; name another with --out FOLDER"
        )


def put_back(folder: Path) -> bool:
    """Put back the dataset that an interrupted `--replace` had moved away. Returns whether there was one."""
    aside = _moved_away(folder)
    if folder.exists() or not aside:
        return False
    max(aside, key=lambda path: path.stat().st_ctime).rename(folder)
    return True


def place(staging: Path, folder: Path, files: Mapping[str, bytes], *, replace: bool) -> bool:
    """Move the staging folder to its place. Returns False if the same is there.

    Raises:
        FileExistsError: the folder has another content, or another command wrote it meanwhile.
        ValueError: its mix.json is damaged, so that its files are unknown.
    """
    if not folder.exists() or not any(folder.iterdir()):
        if folder.exists():
            folder.rmdir()
        if not atomic.commit(staging, folder):
            raise FileExistsError(_meanwhile(folder))
        return True
    there = {path.name: path for path in folder.iterdir()}
    if all(name in there and there[name].read_bytes() == content for name, content in files.items()):
        return False
    if not replace:
        raise FileExistsError(
            f"{folder} has another dataset; replace it with --replace, or name another: --out FOLDER"
        )
    _check_own(folder, {*there}, {*files})
    _replace(staging, folder)
    return True


def _check_own(folder: Path, there: set[str], new: set[str]) -> None:
    """Only files that mix wrote may be replaced."""
    path = folder / MIX_FILE
    remedy = f"move {folder} away, or name another folder with --out FOLDER"
    own = parse_object(path.read_bytes(), path, remedy, {"files": dict})["files"]
    if foreign := sorted(there - {*own, *new, MIX_FILE, README}):
        raise FileExistsError(
            f"{folder} has {foreign[0]}, which mix did not write; move it away, or use --out FOLDER"
        )


def _replace(staging: Path, folder: Path) -> None:
    """The old dataset is deleted when the new one is in place; else it is put back."""
    hidden = atomic.hidden(folder)
    old = hidden.with_name(hidden.name + _ASIDE)
    obsolete = [*_moved_away(folder), old]
    try:
        folder.rename(old)
    except FileNotFoundError as error:
        raise FileExistsError(_meanwhile(folder)) from error
    placed = False
    try:
        placed = atomic.commit(staging, folder)
    finally:
        if not placed and old.exists() and not folder.exists():
            old.rename(folder)
    if not placed:
        kept = f"; the one before is now {old}" if old.exists() else ""
        raise FileExistsError(_meanwhile(folder) + kept)
    for path in obsolete:
        shutil.rmtree(path, ignore_errors=True)


def _moved_away(folder: Path) -> list[Path]:
    """The datasets that `_replace` has moved away from a folder."""
    if not folder.parent.is_dir():
        return []
    name = re.compile(rf"\.{re.escape(folder.name[:200])}\.[0-9a-f]{{8}}{re.escape(_ASIDE)}")
    return [path for path in folder.parent.iterdir() if name.fullmatch(path.name)]


def _meanwhile(folder: Path) -> str:
    return f"{folder} was written by another command meanwhile; run this one again"
