"""What is published: list, read, resolve, promote, roll back. A version never changes, current.json does."""

import hashlib
import shlex
from collections.abc import Iterable
from pathlib import Path

from tweetelm.registry import current
from tweetelm.registry.card import Card
from tweetelm.registry.download import download
from tweetelm.registry.integrity import card_fault, ensure_whole
from tweetelm.registry.store import CARD, Store, open_store

DEFAULT_REGISTRY = "models"
VERSION = current.VERSION


def resolve(
    task: str, *, registry: str = DEFAULT_REGISTRY, version: str | None = None, cache: Path | None = None
) -> Path:
    """Local folder of a version, by default the current one, with every file as it was published.

    A process hashes a version's files when it first asks for it. A registry behind a URL is downloaded once
    per version into `cache` (by default ~/.cache/tweetelm).

    Raises:
        FileNotFoundError: nothing is published, or not this version; the message says what there is.
        ValueError: a file is missing or is not the one that was published.
    """
    store = open_store(registry)
    card = read_card(task, registry=registry, version=version)
    folder = f"{task}/versions/{card.version}"
    here = store.place(folder)
    if here is None:
        home = cache or Path.home() / ".cache" / "tweetelm"
        return download(
            store, folder, card, home / hashlib.sha256(store.url.encode()).hexdigest()[:16] / folder
        )
    ensure_whole(here, card)
    return here


def read_card(task: str, *, registry: str = DEFAULT_REGISTRY, version: str | None = None) -> Card:
    """The card of a version, by default the current one. Raises as `resolve` does."""
    store = open_store(registry)
    chosen = version or current.read(store, task).version
    card = find_card(store, task, chosen) if chosen else None
    if card is None:
        raise FileNotFoundError(absent(store, task, chosen))
    return card


def current_version(task: str, *, registry: str = DEFAULT_REGISTRY) -> str | None:
    """The version that is served, or None where none was promoted."""
    return current.read(open_store(registry), task).version


def previous_version(task: str, *, registry: str = DEFAULT_REGISTRY) -> str | None:
    """The version that `rollback` would serve, or None."""
    return current.read(open_store(registry), task).previous


def list_versions(task: str, *, registry: str = DEFAULT_REGISTRY) -> list[Card]:
    """Cards of all stored versions, newest first; those whose card is damaged are left out."""
    store = open_store(registry)
    cards = readable_cards(store, task, version_names(store, task))
    return sorted(cards, key=lambda card: (card.created, card.version), reverse=True)


def promote(task: str, version: str, *, registry: str = DEFAULT_REGISTRY) -> None:
    """Make a stored version current, whatever its metric; FileNotFoundError where there is none."""
    card = read_card(task, registry=registry, version=version)
    current.move(open_store(registry), task, lambda now: now.to(card.version, card.validation), repair=True)


def rollback(task: str, *, registry: str = DEFAULT_REGISTRY) -> str:
    """Make the previously current version current again and return it; a second rollback undoes the first.

    Two at the same time, that have seen the same version, go back once.
    """
    previous = current.read(open_store(registry), task).previous
    if not previous:
        raise ValueError(
            f"{task} has no previous version in {registry}; see `python -m tweetelm.registry list "
            f"--registry {shlex.quote(registry)}` and choose one with `python -m tweetelm.registry promote "
            f"{task} VERSION --registry {shlex.quote(registry)}`"
        )
    promote(task, previous, registry=registry)
    return previous


def check_registry(task: str, registry: str) -> None:
    """See, before a model is made, that it could be published.

    Raises:
        OSError: the registry cannot be written.
        ValueError: current.json is damaged.
    """
    store = open_store(registry)
    current.read(store, task)
    store.probe(f"{task}/versions")


def version_names(store: Store, task: str) -> list[str]:
    """Names of all folders of a task that may be versions, in order."""
    current.name(task)
    return [name for name in store.folders(f"{task}/versions") if VERSION.fullmatch(name)]


def find_card(store: Store, task: str, version: str) -> Card | None:
    """The card of a version, or None where there is no such version.

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
    """Cards of these versions but those whose card is damaged; one of these must not stop the others."""
    found = []
    for name in names:
        try:
            found.append(find_card(store, task, name))
        except ValueError:
            continue
    return [card for card in found if card]


def absent(store: Store, task: str, version: str | None) -> str:
    """What to say, and to type, when a version cannot be found."""
    names = [card.version for card in readable_cards(store, task, version_names(store, task))]
    if version and names:
        return f"{task} has no version {version!r} in {store.url}; there are {', '.join(names)}"
    if names:
        return (
            f"no version of {task} was promoted in {store.url}; choose one of {', '.join(names)} with "
            f"`python -m tweetelm.registry promote {task} VERSION --registry {shlex.quote(store.url)}`"
        )
    return (
        f"nothing is published for {task} in {store.url}; train a model with `python -m ray_jobs.train "
        f"--task {task}`, or a small one on the synthetic sample with `make demo`"
    )
