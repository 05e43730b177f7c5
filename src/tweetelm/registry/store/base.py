"""Where versions lie: a folder, or object storage behind a URL. Both keep the same promises.

A folder appears whole or not at all, and never changes. The one kind of file that is replaced is replaced
only by who has seen what it replaces.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

CARD = "card.json"
Content = Mapping[str, Path | bytes]


@dataclass(frozen=True)
class Held:
    """A file's contents as they were read, and the store's own mark of them."""

    data: bytes
    mark: Any = field(default=None, compare=False)


class Store(Protocol):
    """Files under a root. Names are relative to it, with forward slashes."""

    url: str

    def address(self, name: str) -> str:
        """What a person would type for `name`: an absolute path, or a URL."""

    def place(self, name: str) -> Path | None:
        """Where `name` lies on this machine, or None if it does not."""

    def read(self, name: str) -> Held | None:
        """A small file, or None where there is none."""

    def swap(self, name: str, held: Held | None, data: bytes) -> bool:
        """Replace a file at once, or create it, if it still is what `held` says (None: absent).

        False, and nothing done, if somebody else was faster.
        """

    def drop(self, name: str, held: Held) -> bool:
        """Take a file away, if it still is what `held` says. Where storage cannot do that under a condition,
        an empty file stays. False, and nothing done, if somebody else was faster.
        """

    def probe(self, name: str) -> None:
        """Raise OSError unless a file can be written below `name`."""

    def folders(self, name: str) -> list[str]:
        """Names of the folders inside `name`, in order; none where it does not exist."""

    def files(self, name: str) -> list[str]:
        """Paths of all files below `name`, relative to it, in order."""

    def digest(self, name: str) -> str | None:
        """sha256 of a file, or None where there is none."""

    def copy(self, name: str, target: Path) -> None:
        """Copy a file to this machine; its folder must exist."""

    def put(self, name: str, content: Content, digests: Mapping[str, str]) -> bool:
        """Store a new folder, whole.

        Args:
            name: of the folder.
            content: by file, bytes or a file to copy; card.json is among them.
            digests: sha256 by file, of all but card.json.

        Returns:
            False if the name is taken, maybe by the same content.

        Raises:
            ValueError: a file is no longer what its digest says; nothing appears.
        """
