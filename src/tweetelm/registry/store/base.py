"""The interface of a registry's storage: a folder, or object storage. Both give the same guarantees.

A folder appears atomically and never changes. A file is replaced by compare-and-swap only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

CARD = "card.json"
Content = Mapping[str, Path | bytes]


@dataclass(frozen=True)
class Held:
    """The content of a file as it was read, and the store's version mark of it, such as an ETag."""

    data: bytes
    mark: Any = field(default=None, compare=False)


class Store(Protocol):
    """Files under a root. Names are relative to it, with forward slashes."""

    url: str

    def address(self, name: str) -> str:
        """The absolute path or the URL of `name`, for messages."""

    def place(self, name: str) -> Path | None:
        """The local path of `name`; None for object storage."""

    def read(self, name: str) -> Held | None:
        """Read a small file; None if it does not exist."""

    def swap(self, name: str, held: Held | None, data: bytes) -> bool:
        """Atomically replace or create a file if its content is still `held` (None: it does not exist).

        Returns False, without any change, if the content differs.
        """

    def drop(self, name: str, held: Held) -> bool:
        """Delete a file if its content is still `held`. Storage without conditional deletes keeps an empty
        file instead. Returns False, without any change, if the content differs.
        """

    def probe(self, name: str) -> None:
        """Raise OSError unless a file can be written below `name`."""

    def folders(self, name: str) -> list[str]:
        """Names of the folders inside `name`, sorted; empty if it does not exist."""

    def files(self, name: str) -> list[str]:
        """Paths of all files below `name`, relative to it, sorted."""

    def digest(self, name: str) -> str | None:
        """sha256 of a file; None if it does not exist."""

    def copy(self, name: str, target: Path) -> None:
        """Copy a file to this machine. The folder of `target` must exist."""

    def put(self, name: str, content: Content, digests: Mapping[str, str]) -> bool:
        """Store a new folder atomically.

        Args:
            name: the folder's name.
            content: bytes, or a file to copy, by file name; must include card.json.
            digests: sha256 by file name, of all files except card.json.

        Returns:
            False if the name is taken; the stored content may be the same.

        Raises:
            ValueError: a file no longer has its digest; nothing is stored.
        """
