"""Whether a version's files are those that were published."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tweetelm.registry.card import Card, content_of
from tweetelm.registry.store import CARD, Store
from tweetelm.registry.store.filesystem import FolderStore

Signature = tuple[object, ...]
_WHOLE: set[Signature] = set()  # of versions that this process has hashed and found whole


def faults(store: Store, folder: str, files: Mapping[str, str]) -> dict[str, str]:
    """What is wrong, by file, with a version's files: hashes that differ from the card's, files that are
    missing."""
    found = {}
    for name, expected in sorted(files.items()):
        digest = store.digest(f"{folder}/{name}")
        if digest is None:
            found[name] = "is missing"
        elif digest != expected:
            found[name] = f"has sha256 {digest}, its card says {expected}"
    return found


def card_fault(text: str, version: str) -> str | None:
    """What is wrong with the card itself: a version's name begins the digest of what its card says."""
    values = json.loads(text)
    if values.get("version") != version:
        return f"is the card of {values.get('version')!r}, not of {version}"
    digits = version.partition("-")[2]
    content = content_of(values)
    if not content.startswith(digits):
        return f"was edited: its content is {content[: len(digits)]}…, the version's name says {digits}"
    strange = [name for name in values["files"] if not _inside(name)]
    return f"names files outside the version: {', '.join(strange)}" if strange else None


def unexpected(store: Store, folder: str, files: Mapping[str, str]) -> list[str]:
    """Files that nobody published."""
    return [name for name in store.files(folder) if name not in files and name != CARD]


def ensure_whole(folder: Path, card: Card) -> None:
    """Refuse a local version with a file that is missing or was changed.

    A process hashes a version once, and again only after a file's size, time or place on the disk changed.

    Raises:
        ValueError: with the files' names.
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
            f"{lines}: version {card.version} is damaged; serve another with `python -m tweetelm.registry "
            f"promote {card.task} VERSION`, or publish the model again and promote what comes of it"
        )
    if signature is not None:
        _WHOLE.add(signature)


def _signature(folder: Path, card: Card) -> Signature | None:
    """What changes when a file does; None if one is missing."""
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
