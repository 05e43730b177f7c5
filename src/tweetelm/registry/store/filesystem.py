"""A registry in a local folder, or on a network file system with atomic rename and flock."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from tweetelm.files import atomic
from tweetelm.files.atomic import clean_stale, commit, staging_dir
from tweetelm.files.file_lock import LOCK, locked
from tweetelm.files.hashing import checked, chunks, sha256
from tweetelm.files.paths import expanded
from tweetelm.registry.store.base import CARD, Content, Held


class FolderStore:
    """A new folder is filled under a hidden name and renamed. A file is replaced by rename under a lock.

    The lock is flock, which the kernel releases when its owner exits or is killed.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.root = Path(expanded(url)).absolute()

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
        with locked(target.parent / LOCK):
            if self.read(name) != held:
                return False
            for stale in target.parent.glob(f".{target.name}.*"):  # of a process that died with the lock
                if atomic.is_temporary(stale):
                    stale.unlink()
            atomic.write(target, data)
        return True

    def drop(self, name: str, held: Held) -> bool:
        target = self.place(name)
        with locked(target.parent / LOCK):
            if self.read(name) != held:
                return False
            target.unlink()
            (target.parent / LOCK).unlink()
        for folder in (target.parent, target.parent.parent):
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()
        return True

    def probe(self, name: str) -> None:
        folder = self.place(name)
        made = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with staging_dir(folder / "probe") as partial:
            atomic.write_through(partial / "file", b"")
        for each in made:
            with contextlib.suppress(OSError):  # another process has written to it meanwhile
                each.rmdir()

    def folders(self, name: str) -> list[str]:
        try:
            return sorted(path.name for path in self.place(name).iterdir() if path.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def files(self, name: str) -> list[str]:
        folder = self.place(name)
        return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())

    def digest(self, name: str) -> str | None:
        path = self.place(name)
        return sha256(path) if path.is_file() else None

    def copy(self, name: str, target: Path) -> None:
        atomic.write(target, chunks(self.place(name)))

    def put(self, name: str, content: Content, digests: Mapping[str, str]) -> bool:
        target = self.place(name)
        if target.exists():
            return False
        clean_stale(target.parent)
        with staging_dir(target) as partial:
            for file, source in content.items():
                (partial / file).parent.mkdir(parents=True, exist_ok=True)
                atomic.write_through(
                    partial / file, chunks(source) if file == CARD else checked(source, digests[file])
                )
            return commit(partial, target)
