"""Checks that the files of a version are the published ones."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tweetelm.registry.card import Card, content_of
from tweetelm.registry.store import CARD, Store
from tweetelm.registry.store.filesystem import FolderStore

Signature = tuple[object, ...]
_WHOLE: set[Signature] = set()  # intact versions that this process has hashed


def faults(store: Store, folder: str, files: Mapping[str, str]) -> dict[str, str]:
    """Problems by file name: missing files, and files whose sha256 differs from the card."""
    found = {}
    for name, expected in sorted(files.items()):
        digest = store.digest(f"{folder}/{name}")
        if digest is None:
            found[name] = "is missing"
        elif digest != expected:
            found[name] = f"has sha256 {digest}; expected {expected} from its card"
    return found


def card_fault(text: str, version: str) -> str | None:
    """The problem of a card, or None. The version's name must contain the start of the card's digest."""
    values = json.loads(text)
    if values.get("version") != version:
        return f"is the card of {values.get('version')!r}, not of {version}"
    digits = version.partition("-")[2]
    content = content_of(values)
    if not content.startswith(digits):
        return f"was edited: its digest starts with {content[: len(digits)]}; expected {digits} from the name"
    strange = [name for name in values["files"] if not _inside(name)]
    return f"names files outside the version: {', '.join(strange)}" if strange else None


def unexpected(store: Store, folder: str, files: Mapping[str, str]) -> list[str]:
    """Files of the folder that are not in the card."""
    return [name for name in store.files(folder) if name not in files and name != CARD]


def ensure_whole(folder: Path, card: Card) -> None:
    """Raise unless all files of a local version are present and unchanged.

    A process hashes a version once, and again only if the size, times or inode of a file have changed.

    Raises:
        ValueError: a file is missing or was changed; the message names it.
    """
    signature = _signature(folder, card)
    if signature in _WHOLE:
        return
    found = faults(FolderStore(str(folder.parent)), folder.name, card.files)
    if not _is_card(folder / CARD, card):
        found[CARD] = "is not the version's card"
    if found:
        lines = "; ".join(f"{folder / name} {what}" for name, what in found.items())
        raise ValueError(
            f"{lines}: version {card.version} is damaged; choose another with `python -m tweetelm.registry "
            f"promote {card.task} VERSION`, or publish the model again and promote the new version"
        )
    if signature is not None:
        _WHOLE.add(signature)


def _signature(folder: Path, card: Card) -> Signature | None:
    """Values that change if a file changes; None if a file is missing."""
    seen: list[object] = [tuple(sorted(card.files.items()))]
    for name in (*sorted(card.files), CARD):
        try:
            stat = (folder / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        seen.append((name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_dev, stat.st_ino))
    return tuple(seen)


def _is_card(file: Path, card: Card) -> bool:
    try:
        return Card.from_json(file.read_text(encoding="utf-8")) == card
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name and bool(path.parts)
