"""A lock between processes of one machine (flock); the kernel releases it when its owner exits."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LOCK = ".lock"
WAIT_S = 60.0  # processes hold the lock for milliseconds
DOWNLOAD_WAIT_S = 3600.0  # other processes wait for the first one's download


@contextmanager
def locked(path: Path, wait: float = WAIT_S) -> Iterator[None]:
    """Hold the lock of a file, after waiting for other holders.

    The holder may delete the file; waiting processes then lock a new file of the same name.

    Raises:
        TimeoutError: another process holds the lock for longer than `wait` seconds.
    """
    end = time.monotonic() + wait
    while True:
        with _open(path) as file:
            while not _try_lock(file.fileno()):
                if time.monotonic() > end:
                    raise TimeoutError(
                        f"{path} is held by another process for {wait:.0f} s; find the process with "
                        "`lslocks`, end it, then try again"
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
    """Whether the open file is still the file at `path`."""
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
