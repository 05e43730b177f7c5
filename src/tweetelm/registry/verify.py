"""Verifies the files of a version and the pointer to the current version, in any store."""

from tweetelm.registry import current
from tweetelm.registry.integrity import faults, unexpected
from tweetelm.registry.store import CARD, Store
from tweetelm.registry.versions import VERSION, absent, find_card, version_names


def verify(store: Store, task: str, version: str) -> dict[str, str]:
    """Problems of a version by file name; empty if it is intact.

    Raises:
        FileNotFoundError: the version does not exist.
    """
    folder = f"{task}/versions/{version}"
    try:
        card = find_card(store, task, version)
    except ValueError as error:
        return {CARD: str(error)}
    if card is None:
        if not VERSION.fullmatch(version) or version not in version_names(store, task):
            raise FileNotFoundError(absent(store, task, version))
        return {CARD: "is missing"}
    others = dict.fromkeys(unexpected(store, folder, card.files), "is not in the card")
    return faults(store, folder, card.files) | others


def unfinished(store: Store, task: str) -> list[str]:
    """Names in object storage that a publisher has claimed but not completed. They are not versions;
    publishing the same model again completes them. A local folder has none."""
    if store.place(task) is not None:
        return []
    return [name for name in version_names(store, task) if not store.read(f"{task}/versions/{name}/{CARD}")]


def served(store: Store, task: str) -> str | None:
    """The current version; None if there is none or current.json is damaged."""
    try:
        return current.read(store, task).version
    except ValueError:
        return None


def pointer_fault(store: Store, task: str) -> str | None:
    """The problem of current.json: damaged, or names a version that is not stored; None if there is none."""
    try:
        now = current.read(store, task)
    except ValueError as error:
        return str(error)
    names = version_names(store, task)
    lost = [each for each in (now.version, now.previous) if each and each not in names]
    return f"{store.address(current.name(task))} names {', '.join(lost)}: not stored" if lost else None
