"""Atomic writes of files and folders, safe with concurrent writers."""

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

STALE_S = 24 * 3600.0  # age of a staging folder whose process is considered dead
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")


def write(target: Path, data: bytes | Iterable[bytes]) -> None:
    """Replace a file atomically: readers see the old or the new content, also after a power failure.

    Creates the folder if it is missing. The last of several writers wins. If `target` is a symbolic link, the
    file that it points to is replaced. Devices and pipes are written directly.
    """
    if target.exists() and not target.is_file():
        target.write_bytes(data if isinstance(data, bytes) else b"".join(data))
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target.resolve()) as temporary:
        write_through(temporary, data)


def write_text(target: Path, text: str) -> None:
    """Replace a file atomically with text in UTF-8; see `write`."""
    write(target, text.encode())


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary path beside `target`, for libraries that write files themselves.

    At the end of the block, the file is renamed to `target`. After an error, it is removed.
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
    """Write a file and fsync it. Not atomic; for files in a staging folder."""
    with target.open("wb") as file:
        file.writelines([data] if isinstance(data, bytes) else data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def staging_dir(target: Path) -> Iterator[Path]:
    """A hidden folder beside `target`, to fill and `commit`. Removed at the end if it was not committed."""
    partial = hidden(target)
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def commit(partial: Path, target: Path) -> bool:
    """Rename a complete staging folder to `target`. Returns False, without any change, if `target` exists."""
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
    """Remove staging folders older than a day; their processes are considered dead."""
    for path in folder.glob(".*.*"):
        try:
            old = is_temporary(path) and path.is_dir() and time.time() - path.stat().st_mtime > STALE_S
        except FileNotFoundError:
            continue
        if old:
            shutil.rmtree(path, ignore_errors=True)


def hidden(target: Path) -> Path:
    """A unique hidden path beside `target`."""
    return target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}")


def is_temporary(path: PurePath) -> bool:
    """Whether the path was made by `hidden`."""
    return _TEMPORARY.fullmatch(path.name) is not None


def sync(folder: Path) -> None:
    """Fsync a folder, so that new names in it survive a power failure."""
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
