"""Every file of a version against its card, wherever the version lies."""

from tweetelm.registry import current
from tweetelm.registry.integrity import faults, unexpected
from tweetelm.registry.store import CARD, Store
from tweetelm.registry.versions import VERSION, absent, find_card, version_names


def verify(store: Store, task: str, version: str) -> dict[str, str]:
    """What is wrong with a version, by file; empty if nothing is.

    Raises:
        FileNotFoundError: there is no such version.
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
    strange = dict.fromkeys(unexpected(store, folder, card.files), "should not be there")
    return faults(store, folder, card.files) | strange


def unfinished(store: Store, task: str) -> list[str]:
    """Names in object storage that a publisher claimed and has not finished. They are no versions, and
    publishing the same model again finishes them. (A folder never shows them.)"""
    if store.place(task) is not None:
        return []
    return [name for name in version_names(store, task) if not store.read(f"{task}/versions/{name}/{CARD}")]


def served(store: Store, task: str) -> str | None:
    """The current version; None where there is none, or current.json is damaged."""
    try:
        return current.read(store, task).version
    except ValueError:
        return None


def pointer_fault(store: Store, task: str) -> str | None:
    """What is wrong with current.json: damaged, or names a version that is not there."""
    try:
        now = current.read(store, task)
    except ValueError as error:
        return str(error)
    names = version_names(store, task)
    lost = [each for each in (now.version, now.previous) if each and each not in names]
    return f"{store.address(current.name(task))} names {', '.join(lost)}: not stored" if lost else None
