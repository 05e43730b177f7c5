"""Published versions: list, read, resolve, promote, roll back. A version is immutable."""

import hashlib
import shlex
from collections.abc import Iterable
from pathlib import Path

from tweetelm.files.names import is_name
from tweetelm.registry import current
from tweetelm.registry.card import Card
from tweetelm.registry.download import download
from tweetelm.registry.integrity import card_fault, ensure_whole
from tweetelm.registry.store import CARD, Store, open_store
from tweetelm.tasks import TASKS, Task, find_task
from tweetelm.tasks.task_file import SUFFIX

DEFAULT_REGISTRY = "models"
VERSION = current.VERSION


def resolve(
    task: str, *, registry: str = DEFAULT_REGISTRY, version: str | None = None, cache: Path | None = None
) -> Path:
    """The local folder of a version, by default the current one, with verified files.

    A process hashes the files of a version at the first call. From a registry at a URL, each version is
    downloaded once into `cache` (by default ~/.cache/tweetelm).

    Raises:
        FileNotFoundError: the version does not exist, or nothing is published; the message lists the
            versions.
        ValueError: a file is missing or was changed after publishing.
    """
    store = open_store(registry)
    card = read_card(task, registry=registry, version=version)
    folder = f"{task}/versions/{card.version}"
    local = store.place(folder)
    if local is None:
        root = cache or Path.home() / ".cache" / "tweetelm"
        return download(
            store, folder, card, root / hashlib.sha256(store.url.encode()).hexdigest()[:16] / folder
        )
    ensure_whole(local, card)
    return local


def read_card(task: str, *, registry: str = DEFAULT_REGISTRY, version: str | None = None) -> Card:
    """The card of a version, by default the current one. Raises the errors of `resolve`."""
    store = open_store(registry)
    chosen = version or current.read(store, task).version
    card = find_card(store, task, chosen) if chosen else None
    if card is None:
        raise FileNotFoundError(absent(store, task, chosen))
    return card


def tasks(registry: str = DEFAULT_REGISTRY) -> list[str]:
    """Names of the tasks that the registry has versions of; `hate` and `deepfake` first."""
    store = open_store(registry)
    found = [name for name in store.folders("") if is_name(name) and store.folders(f"{name}/versions")]
    return sorted(found, key=lambda name: (name not in TASKS, name != "hate", name))


def find_published_task(name: str, *, registry: str = DEFAULT_REGISTRY, version: str | None = None) -> Task:
    """The task with a name or file; one that is neither built in nor a file is read from a version's card.

    Raises:
        ValueError: there is no such task.
    """
    if name in TASKS or name.endswith(SUFFIX) or name not in tasks(registry):
        return find_task(name)
    return read_card(name, registry=registry, version=version).definition


def current_version(task: str, *, registry: str = DEFAULT_REGISTRY) -> str | None:
    """The current version; None if no version was promoted."""
    return current.read(open_store(registry), task).version


def previous_version(task: str, *, registry: str = DEFAULT_REGISTRY) -> str | None:
    """The version that `rollback` would make current; None if there is none."""
    return current.read(open_store(registry), task).previous


def list_versions(task: str, *, registry: str = DEFAULT_REGISTRY) -> list[Card]:
    """The cards of all stored versions, newest first; omits damaged cards."""
    store = open_store(registry)
    cards = readable_cards(store, task, version_names(store, task))
    return sorted(cards, key=lambda card: (card.created, card.version), reverse=True)


def promote(task: str, version: str, *, registry: str = DEFAULT_REGISTRY) -> None:
    """Make a stored version current, regardless of its metric.

    Raises:
        FileNotFoundError: the version does not exist.
    """
    card = read_card(task, registry=registry, version=version)
    current.move(open_store(registry), task, lambda now: now.to(card.version, card.validation), repair=True)


def rollback(task: str, *, registry: str = DEFAULT_REGISTRY) -> str:
    """Make the previous version current and return it. A second rollback undoes the first.

    Two concurrent rollbacks from the same version have the effect of one.

    Raises:
        ValueError: there is no previous version.
    """
    previous = current.read(open_store(registry), task).previous
    if not previous:
        raise ValueError(
            f"{task} has no previous version in {registry}; list the versions with `python -m "
            f"tweetelm.registry list --registry {shlex.quote(registry)}` and choose one with `python -m "
            f"tweetelm.registry promote {task} VERSION --registry {shlex.quote(registry)}`"
        )
    promote(task, previous, registry=registry)
    return previous


def check_registry(task: str, registry: str) -> None:
    """Check, before training, that a model can be published.

    Raises:
        OSError: the registry cannot be written.
        ValueError: current.json is damaged.
    """
    store = open_store(registry)
    current.read(store, task)
    store.probe(f"{task}/versions")


def version_names(store: Store, task: str) -> list[str]:
    """Names of all version folders of a task, sorted; their content may be damaged."""
    current.name(task)
    return [name for name in store.folders(f"{task}/versions") if VERSION.fullmatch(name)]


def find_card(store: Store, task: str, version: str) -> Card | None:
    """The card of a version; None if the version does not exist.

    Raises:
        ValueError: the card is damaged.
    """
    current.name(task)
    file = f"{task}/versions/{version}/{CARD}"
    held = store.read(file) if VERSION.fullmatch(version) else None
    if held is None:
        return None
    try:
        card, fault = Card.from_json(held.data.decode()), card_fault(held.data.decode(), version)
    except ValueError as error:
        raise ValueError(f"{store.address(file)} is damaged: {error}") from error
    if fault:
        raise ValueError(f"{store.address(file)} {fault}")
    return card


def readable_cards(store: Store, task: str, names: Iterable[str]) -> list[Card]:
    """The cards of the given versions; omits missing and damaged cards."""
    found = []
    for name in names:
        try:
            found.append(find_card(store, task, name))
        except ValueError:
            continue
    return [card for card in found if card]


def absent(store: Store, task: str, version: str | None) -> str:
    """The error message for a version that does not exist, with the command to type."""
    names = [card.version for card in readable_cards(store, task, version_names(store, task))]
    if version and names:
        return f"{task} has no version {version!r} in {store.url}; expected one of {', '.join(names)}"
    if names:
        return (
            f"{task} has no current version in {store.url}; choose one of {', '.join(names)} with "
            f"`python -m tweetelm.registry promote {task} VERSION --registry {shlex.quote(store.url)}`"
        )
    others = [name for name in tasks(store.url) if name != task]
    there = f" (it has versions of {', '.join(others)})" if others else ""
    typed = task if task in TASKS else f"{task}{SUFFIX}"
    return (
        f"{task} has no published version in {store.url}{there}; train a model with "
        f"`python -m ray_jobs.train --task {typed}`, or a small model on the sample with `make demo`"
    )
