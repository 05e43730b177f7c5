"""Folders that appear whole or not at all, and locks that end with their owner."""

import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
            old = path.is_dir() and time.time() - path.stat().st_mtime > LEFT
        except FileNotFoundError:
            continue
        if old:
            shutil.rmtree(path, ignore_errors=True)


def hidden(target: Path) -> Path:
    """A name beside `target` that nobody else uses."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}")


@contextmanager
def locked(path: Path, wait: float = WAIT) -> Iterator[None]:
    """Hold a lock, for which others wait; TimeoutError if one keeps it for longer than `wait` seconds."""
    end = time.monotonic() + wait
    with path.open("ab") as file:
        while not _try_lock(file.fileno()):
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{path} is held by another process for {wait:.0f} s; `lslocks` tells which: end it, "
                    "then try again"
                )
            time.sleep(0.01)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sync(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
