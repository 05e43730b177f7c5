"""Where versions are stored: a file system or object storage."""

import re
from pathlib import Path

from tweetelm.registry.store.base import CARD, Content, Held, Store
from tweetelm.registry.store.filesystem import FolderStore
from tweetelm.registry.store.object_storage import ObjectStore

__all__ = ["CARD", "Content", "Held", "Store", "open_store"]
_SCHEME = re.compile(r"[a-z][a-z0-9]*://", re.IGNORECASE)


def open_store(url: str | Path) -> Store:
    """The store for a folder, or for an s3://, gs:// or az:// URL. Does not read or create anything."""
    text = str(url).rstrip("/") or "/"
    if not _SCHEME.match(text):
        return FolderStore(text)
    if text.startswith("file://"):
        return FolderStore(text.removeprefix("file://"))
    return ObjectStore(text)
