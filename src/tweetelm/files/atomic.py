"""Atomic writes of files and folders: whole or not at all, with any number of writers at once."""

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

STALE_S = 24 * 3600.0  # age of a staging folder whose process is considered dead
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")


def write(target: Path, data: bytes | Iterable[bytes]) -> None:
    """Replace a file at once: a reader finds the old content or the new one, also after a power cut.

    The folder is made if need be. Of several writers the last one wins. A link stays and its target is
    replaced; a device or a pipe is written as it is.
    """
    if target.exists() and not target.is_file():
        target.write_bytes(data if isinstance(data, bytes) else b"".join(data))
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target.resolve()) as temporary:
        write_through(temporary, data)


def write_text(target: Path, text: str) -> None:
    """The same for text, as UTF-8."""
    write(target, text.encode())


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary name beside `target`, for a library that writes files itself. At the end of the block the
    file gets its name; after an error it is removed.
    """
    temporary = hidden(target)
    try:
        yield temporary
        _sync_file(temporary)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(target.parent)


def write_through(target: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file and wait until the disk has it. Not atomic: for files in a folder that nobody sees yet."""
    with target.open("wb") as file:
        file.writelines([data] if isinstance(data, bytes) else data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def staging_dir(target: Path) -> Iterator[Path]:
    """A hidden folder beside `target`, to fill and then `commit`. Whatever remains of it is removed."""
    partial = hidden(target)
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def commit(partial: Path, target: Path) -> bool:
    """Rename a complete staging folder to `target`; False if `target` exists already, which then stays."""
    for folder, _, _ in os.walk(partial):
        sync(Path(folder))
    try:
        partial.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise
    sync(target.parent)
    return True


def clean_stale(folder: Path) -> None:
    """Remove staging folders that are older than a day: their processes died."""
    for path in folder.glob(".*.*"):
        try:
            old = is_temporary(path) and path.is_dir() and time.time() - path.stat().st_mtime > STALE_S
        except FileNotFoundError:
            continue
        if old:
            shutil.rmtree(path, ignore_errors=True)


def hidden(target: Path) -> Path:
    """A name beside `target` that nobody else uses."""
    return target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}")


def is_temporary(path: Path) -> bool:
    """Whether the name is one of `hidden`."""
    return _TEMPORARY.fullmatch(path.name) is not None


def sync(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
