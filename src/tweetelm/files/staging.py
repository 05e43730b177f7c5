"""Folders that appear whole or not at all, and locks that end with their owner."""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tweetelm.files.atomic import hidden, is_temporary, sync

LOCK = ".lock"
WAIT = 60.0  # seconds; the lock is held for milliseconds
DOWNLOAD_WAIT = 3600.0  # seconds; a second process waits for the first one's download
LEFT = 24 * 3600.0  # seconds after which an unfinished folder is nobody's


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A hidden folder beside `target`, to be filled and settled; what is left of it is removed."""
    partial = hidden(target)
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def settle(partial: Path, target: Path) -> bool:
    """Give a finished folder its name; False if a folder has it already, which then stays."""
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


def sweep(folder: Path) -> None:
    """Remove unfinished folders whose makers died long ago."""
    for path in folder.glob(".*.*"):
        try:
            old = is_temporary(path) and path.is_dir() and time.time() - path.stat().st_mtime > LEFT
        except FileNotFoundError:
            continue
        if old:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def locked(path: Path, wait: float = WAIT) -> Iterator[None]:
    """Hold a lock, for which others wait; TimeoutError if one keeps it for longer than `wait` seconds.

    Whoever holds it may delete the file: those who wait for it then lock the next one of that name.
    """
    end = time.monotonic() + wait
    while True:
        with _open(path) as file:
            while not _try_lock(file.fileno()):
                if time.monotonic() > end:
                    raise TimeoutError(
                        f"{path} is held by another process for {wait:.0f} s; `lslocks` tells which: end it, "
                        "then try again"
                    )
                time.sleep(0.01)
            if _is_at(file.fileno(), path):
                yield
                return


def _open(path: Path) -> BinaryIO:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return path.open("ab")
        except FileNotFoundError:  # the folder was removed in between
            continue


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file still has that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
