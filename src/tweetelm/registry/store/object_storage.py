"""A registry in object storage: S3, Google Cloud Storage or Azure, through obstore.

Object storage has no rename. A publisher claims a version, writes its files, and writes card.json last: a
folder without a card is not a version. Claims, cards and current.json are written with conditional requests
(If-None-Match, If-Match), which the storage must support.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tweetelm.files.hashing import checked
from tweetelm.files.object_storage import ACCESS
from tweetelm.registry.store.base import CARD, Content, Held

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Objects

PROBE = ".writable"  # an empty file
PART = 8 << 20  # bytes per request of a large upload


class ObjectStore:
    """The objects below a URL. Credentials come from the environment or the machine's role."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.objects = _connect(url)

    def place(self, name: str) -> None:
        return None

    def address(self, name: str) -> str:
        return f"{self.url}/{name}"

    def read(self, name: str) -> Held | None:
        import obstore

        with _explained(self.address(name)):
            try:
                found = obstore.get(self.objects, name)
            except FileNotFoundError:
                return None
            mark = {key: found.meta.get(key) for key in ("e_tag", "version") if found.meta.get(key)}
            return Held(bytes(found.bytes()), mark)

    def swap(self, name: str, held: Held | None, data: bytes) -> bool:
        return self._write(name, data, "create" if held is None else held.mark)

    def drop(self, name: str, held: Held) -> bool:
        return self.swap(name, held, b"")

    def probe(self, name: str) -> None:
        file = f"{name}/{PROBE}".lstrip("/")
        if not self._write(file, b"", "overwrite"):  # kept, because write access need not include delete
            raise FileNotFoundError(f"{self.address(file)} cannot be written: the bucket does not exist")

    def folders(self, name: str) -> list[str]:
        import obstore

        with _explained(self.address(name)):
            found = obstore.list_with_delimiter(self.objects, name)["common_prefixes"]
        return sorted(prefix.rstrip("/").rsplit("/", 1)[-1] for prefix in found)

    def files(self, name: str) -> list[str]:
        import obstore

        with _explained(self.address(name)):
            found = obstore.list(self.objects, f"{name}/").collect()
        return sorted(str(each["path"]).removeprefix(f"{name}/") for each in found)

    def digest(self, name: str) -> str | None:
        digest = hashlib.sha256()
        try:
            for chunk in self._stream(name):
                digest.update(chunk)
        except FileNotFoundError:
            return None
        return digest.hexdigest()

    def copy(self, name: str, target: Path) -> None:
        with target.open("wb") as file:
            file.writelines(self._stream(name))

    def put(self, name: str, content: Content, digests: Mapping[str, str]) -> bool:
        if self.read(f"{name}/{CARD}") is not None or not self._claim(name, digests):
            return False
        for file, source in content.items():
            if file != CARD:
                self._upload(f"{name}/{file}", source, digests[file])
        card = content[CARD]
        return self._write(f"{name}/{CARD}", card if isinstance(card, bytes) else card.read_bytes(), "create")

    def _claim(self, name: str, digests: Mapping[str, str]) -> bool:
        """Claim the folder for exactly these files; False if it is claimed for others. All processes that
        write to it, at the same time or after a crash, therefore write the same files."""
        folder, version = name.rsplit("/", 1)
        claim = f"{folder}/.claims/{version}"
        data = json.dumps(dict(sorted(digests.items())), indent=2).encode() + b"\n"
        if self._write(claim, data, "create"):
            return True
        held = self.read(claim)
        return held is not None and held.data == data

    def _upload(self, name: str, source: Path | bytes, expected: str) -> None:
        import obstore

        small = isinstance(source, bytes) or source.stat().st_size <= PART
        parts = checked(source, expected, PART)
        with _explained(self.address(name)):
            obstore.put(self.objects, name, b"".join(parts) if small else parts, chunk_size=PART)

    def _write(self, name: str, data: bytes, mode: Any) -> bool:
        """Write a small file with a conditional request; False if the condition fails."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with _explained(self.address(name)):
            try:
                obstore.put(self.objects, name, data, mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            except FileNotFoundError:
                if mode == "create":
                    raise FileNotFoundError(
                        f"{self.address(name)} cannot be written: the bucket does not exist"
                    ) from None
                return False  # the file to replace no longer exists
        return True

    def _stream(self, name: str) -> Iterator[bytes]:
        import obstore

        with _explained(self.address(name)):
            for chunk in obstore.get(self.objects, name).stream():
                yield bytes(chunk)


@lru_cache(maxsize=16)
def _connect(url: str) -> "Objects":
    """The obstore client of a URL; it keeps connections open and renews the credentials of a role."""
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise ValueError(f"{url} needs obstore: pip install obstore") from error
    with _explained(url):
        return from_url(url)


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Convert errors of obstore to an OSError with the address, the reason and what to check."""
    from obstore.exceptions import BaseError

    try:
        yield
    except BaseError as error:
        reason = " ".join(str(error).split("Debug source")[0].split())
        raise OSError(f"{address} cannot be reached: {reason[:400]}; {ACCESS}") from error
