"""A registry in a folder: of this machine, or a network file system that knows rename and flock."""

import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tweetelm.registry.store import CARD, Content, Held, checked, chunks, sha256

LOCK = ".lock"
WAIT = 60.0  # seconds; the lock is held for milliseconds
LEFT = 24 * 3600.0  # seconds after which an unfinished folder is nobody's


class FolderStore:
    """A new folder is filled under a hidden name and renamed; a file is replaced by rename under a lock.

    The lock is the kernel's (flock): it ends with its owner, however that ends.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.root = Path(url).expanduser().absolute()

    def place(self, name: str) -> Path:
        return self.root / name

    def address(self, name: str) -> str:
        return str(self.place(name))

    def read(self, name: str) -> Held | None:
        try:
            return Held(self.place(name).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def swap(self, name: str, held: Held | None, data: bytes) -> bool:
        target = self.place(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.parent / LOCK):
            if self.read(name) != held:
                return False
            for left in target.parent.glob(f".{target.name}.*"):  # by one that died holding the lock
                left.unlink()
            partial = _hidden(target)
            _write(partial, [data])
            os.replace(partial, target)
            _sync(target.parent)
        return True

    def folders(self, name: str) -> list[str]:
        try:
            return sorted(path.name for path in self.place(name).iterdir() if path.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def files(self, name: str) -> list[str]:
        folder = self.place(name)
        return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())

    def digest(self, name: str) -> str | None:
        place = self.place(name)
        return sha256(place) if place.is_file() else None

    def copy(self, name: str, target: Path) -> None:
        _write(target, chunks(self.place(name)))

    def put(self, name: str, content: Content, digests: Mapping[str, str]) -> bool:
        target = self.place(name)
        if target.exists():
            return False
        sweep(target.parent)
        with unfinished(target) as partial:
            for file, source in content.items():
                (partial / file).parent.mkdir(parents=True, exist_ok=True)
                _write(partial / file, chunks(source) if file == CARD else checked(source, digests[file]))
            return settle(partial, target)


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A hidden folder beside `target`, to be filled and settled; what is left of it is removed."""
    partial = _hidden(target)
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def settle(partial: Path, target: Path) -> bool:
    """Give a finished folder its name; False if a folder has it already, which then stays."""
    for folder, _, _ in os.walk(partial):
        _sync(Path(folder))
    try:
        partial.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise
    _sync(target.parent)
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


def _hidden(target: Path) -> Path:
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


def _write(target: Path, data: Iterable[bytes]) -> None:
    """Write through to the disk, so that a name never outlives its contents in a power cut."""
    with target.open("wb") as file:
        file.writelines(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
