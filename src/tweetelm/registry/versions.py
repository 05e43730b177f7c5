"""Publish, resolve, promote, roll back. A version never changes; only current.json does."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tweetelm.registry.card import README, Card
from tweetelm.registry.readme import render
from tweetelm.registry.store import CARD, Store, sha256
from tweetelm.tasks import TASKS

DEFAULT_REGISTRY = "models"
NEEDED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "encoding.json")
LEFT_OUT = ("optimizer.safetensors", "state.json", CARD, README)
VERSION = re.compile(r"\d{8}-[0-9a-f]{6,64}")
SHORT = 6


@dataclass(frozen=True, kw_only=True)
class Published:
    """A checkpoint stored as `version` at `path` (a local path or URL); whether it was promoted, and why."""

    version: str
    path: str
    promoted: bool
    reason: str


def publish(
    checkpoint: Path, card: Card, *, registry: str, evaluation: Path | None = None, replace: bool = False
) -> Published:
    """Store a checkpoint as a version and promote it, unless the version now served is better.

    Publishing the same content again stores nothing new. A version that is not promoted is stored all the
    same, and `reason` says why; `promote` can still choose it.

    Args:
        checkpoint: a training checkpoint; its optimiser and training state are left behind.
        card: from `make_card`.
        registry: folder or URL.
        evaluation: folder that `evaluation.report.write` filled.
        replace: promote even over a better validation metric (never the synthetic sample over real data).

    Raises:
        FileNotFoundError: the checkpoint lacks a file; nothing was written.
    """
    store = Store.open(registry)
    content = _checkpoint_files(checkpoint) | _evaluation_files(evaluation)
    card = dataclasses.replace(card, files={name: sha256(path) for name, path in content.items()})
    versions = f"{card.task}/versions"
    stored = _stored(store, card)
    if stored is None:
        stored = _name(store, card)
        store.put(f"{versions}/{stored.version}", _finish(stored, content))
    promoted, reason = _compete(store, stored, replace)
    return Published(
        version=stored.version,
        path=store.address(f"{versions}/{stored.version}"),
        promoted=promoted,
        reason=reason,
    )


def resolve(
    task: str, *, registry: str = DEFAULT_REGISTRY, version: str | None = None, cache: Path | None = None
) -> Path:
    """Local folder of a version, by default the current one.

    A registry behind a URL is downloaded once per version, checked against its card's hashes, into `cache`
    (by default ~/.cache/tweetelm).

    Raises:
        FileNotFoundError: nothing is published, or not this version; the message says what there is.
    """
    store = Store.open(registry)
    card = read_card(task, registry=registry, version=version)
    folder = f"{task}/versions/{card.version}"
    if store.local:
        return Path(store.path(folder))
    home = cache or Path.home() / ".cache" / "tweetelm"
    target = home / hashlib.sha256(store.url.encode()).hexdigest()[:16] / folder
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        store.fetch(folder, card.files, target)
    return target


def read_card(task: str, *, registry: str = DEFAULT_REGISTRY, version: str | None = None) -> Card:
    """The card of a version, by default the current one. Raises as `resolve` does."""
    store = Store.open(registry)
    chosen = version or _current(store, task).get("version")
    card = _card(store, task, chosen) if chosen else None
    if card is None:
        raise FileNotFoundError(_absent(store, task, chosen))
    return card


def current_version(task: str, *, registry: str = DEFAULT_REGISTRY) -> str | None:
    """The version that is served, or None where none was promoted."""
    return _current(Store.open(registry), task).get("version")


def list_versions(task: str, *, registry: str = DEFAULT_REGISTRY) -> list[Card]:
    """Cards of all stored versions, newest first."""
    cards = _cards(Store.open(registry), task)
    return sorted(cards, key=lambda card: (card.created, card.version), reverse=True)


def promote(task: str, version: str, *, registry: str = DEFAULT_REGISTRY) -> None:
    """Make a stored version current, whatever its metric; FileNotFoundError where there is none."""
    _set_current(Store.open(registry), read_card(task, registry=registry, version=version))


def rollback(task: str, *, registry: str = DEFAULT_REGISTRY) -> str:
    """Make the previously current version current again and return it; a second rollback undoes the first."""
    previous = _current(Store.open(registry), task).get("previous")
    if not previous:
        raise ValueError(
            f"{task} has no previous version in {registry}; see `python -m tweetelm.registry list "
            f"--registry {registry}` and choose one with `python -m tweetelm.registry promote {task} VERSION`"
        )
    promote(task, previous, registry=registry)
    return previous


def _checkpoint_files(checkpoint: Path) -> dict[str, Path]:
    absent = [name for name in NEEDED if not (checkpoint / name).is_file()]
    if absent:
        raise FileNotFoundError(f"{checkpoint} is no checkpoint: it lacks {', '.join(absent)}")
    names = sorted(p.relative_to(checkpoint).as_posix() for p in checkpoint.rglob("*") if p.is_file())
    kept = (name for name in names if name not in LEFT_OUT and not name.startswith((".", "evaluation/")))
    return {name: checkpoint / name for name in kept}


def _evaluation_files(evaluation: Path | None) -> dict[str, Path]:
    if evaluation is None:
        return {}
    return {f"evaluation/{p.name}": p for p in sorted(evaluation.iterdir()) if p.is_file()}


def _stored(store: Store, card: Card) -> Card | None:
    """The card under which the same content is stored already, on whatever day."""
    content = card.content
    return next((known for known in _cards(store, card.task) if known.content == content), None)


def _name(store: Store, card: Card) -> Card:
    """The card with its version; more digits of the hash where six are taken."""
    taken = {known.version for known in _cards(store, card.task)}
    day = card.created[:10].replace("-", "")
    names = (f"{day}-{card.content[:length]}" for length in range(SHORT, 65))
    return dataclasses.replace(card, version=next(name for name in names if name not in taken))


def _finish(card: Card, content: Mapping[str, Path]) -> dict[str, Path | bytes]:
    """All files of the version: the content, the README, and the card that knows their hashes."""
    readme = render(card).encode()
    card = dataclasses.replace(card, files=card.files | {README: sha256(readme)})
    return dict(content) | {README: readme, CARD: card.to_json().encode()}


def _compete(store: Store, card: Card, replace: bool) -> tuple[bool, str]:
    """Promote the card's version, or say why the incumbent stays."""
    current = _current(store, card.task).get("version")
    if current == card.version:
        return True, "it is the current version already"
    incumbent = _card(store, card.task, current) if current else None
    refusal = _refusal(card, incumbent, replace)
    if refusal:
        choose = f"python -m tweetelm.registry promote {card.task} {card.version} --registry {store.url}"
        return False, f"{refusal}. It is stored; to serve it nevertheless: {choose}"
    _set_current(store, card)
    return True, f"it replaces {incumbent.version}" if incumbent else "it is the first version"


def _refusal(card: Card, incumbent: Card | None, replace: bool) -> str | None:
    """Why the candidate may not replace the incumbent, or None if it may."""
    data = card.config.get("data", {})
    if data.get("shuffle_labels"):
        return "the model learnt shuffled labels: a control, not a model to serve"
    if data.get("hold_out"):
        return f"{data['hold_out']} was kept from the model: a measurement, not a model to serve"
    value = card.validation
    if value is None and not replace:
        return f"its card has no {card.metric} on validation (--run.replace publishes it anyway)"
    if incumbent is None or (incumbent.data["synthetic"] and not card.data["synthetic"]):
        return None
    if card.data["synthetic"] and not incumbent.data["synthetic"]:
        return (
            f"{incumbent.version} learnt from real data; a model of the synthetic sample never replaces one"
        )
    best = incumbent.validation
    if replace or value is None or best is None or card.data["md5"] != incumbent.data["md5"] or value >= best:
        return None
    return (
        f"validation {card.metric} {value:.4f} is below the {best:.4f} of {incumbent.version}, which is "
        "served now (--run.replace publishes the new one anyway)"
    )


def _set_current(store: Store, card: Card) -> None:
    now = _current(store, card.task)
    previous = now.get("previous") if now.get("version") == card.version else now.get("version")
    entry = {"version": card.version, "previous": previous, "metric": card.validation}
    store.write_json(f"{card.task}/current.json", entry)


def _current(store: Store, task: str) -> dict[str, str | None]:
    if task not in TASKS:
        raise ValueError(f"no task is called {task!r}; there are {', '.join(TASKS)}")
    text = store.read_text(f"{task}/current.json")
    return json.loads(text) if text else {}


def _card(store: Store, task: str, version: str) -> Card | None:
    text = store.read_text(f"{task}/versions/{version}/{CARD}") if VERSION.fullmatch(version) else None
    return Card.from_json(text) if text else None


def _cards(store: Store, task: str) -> list[Card]:
    names = [name for name in store.folders(f"{task}/versions") if VERSION.fullmatch(name)]
    return [card for card in (_card(store, task, name) for name in names) if card]


def _absent(store: Store, task: str, version: str | None) -> str:
    """What to say, and to type, when a version cannot be found."""
    names = [card.version for card in _cards(store, task)]
    if version and names:
        return f"{task} has no version {version!r} in {store.url}; there are {', '.join(names)}"
    if names:
        return (
            f"no version of {task} was promoted in {store.url}; choose one of {', '.join(names)} with "
            f"`python -m tweetelm.registry promote {task} VERSION --registry {store.url}`"
        )
    return (
        f"nothing is published for {task} in {store.url}; train a model with `python -m ray_jobs.train "
        f"--task {task}`, or a small one on the synthetic sample with `make demo`"
    )
