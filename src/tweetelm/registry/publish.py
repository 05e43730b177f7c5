"""Publishes a checkpoint as a version, and promotes it if its metric is at least that of the current one."""

import dataclasses
import json
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tweetelm.files.hashing import sha256
from tweetelm.files.origin import ORIGIN_FILE
from tweetelm.registry import current
from tweetelm.registry.card import README, Card
from tweetelm.registry.current import Pointer
from tweetelm.registry.integrity import faults
from tweetelm.registry.model_card import render
from tweetelm.registry.store import CARD, Store, open_store
from tweetelm.registry.versions import find_card, readable_cards, version_names

CONFIG = "config.json"
NEEDED = (CONFIG, "model.safetensors", "tokenizer.json", "tokenizer_config.json", "encoding.json")
OPTIONAL = ("generation_config.json", "special_tokens_map.json", ORIGIN_FILE)
CODE = Path(__file__).parents[1] / "openelm"  # checkpoints contain copies of these files
REPORT = (".json", ".csv", ".html", ".md", ".svg")
SHORT = 6


@dataclass(frozen=True, kw_only=True)
class Published:
    """The result of `publish`.

    Attributes:
        version: the version's name.
        path: local path or URL of the version.
        promoted: whether it is the current version.
        reason: why it was promoted or not.
    """

    version: str
    path: str
    promoted: bool
    reason: str


def publish(
    checkpoint: Path, card: Card, *, registry: str, evaluation: Path | None = None, replace: bool = False
) -> Published:
    """Store a checkpoint as a version, and promote it unless the current version is better.

    Publishing the same content again stores nothing. A version that is not promoted is stored too; `promote`
    can make it current later. Several processes may publish at the same time, and any of them may be killed
    at any time: a version is stored completely or not at all, and the best promoted version stays current.

    Args:
        checkpoint: a training checkpoint; its optimizer and training state are not published.
        card: from `make_card`.
        registry: folder or URL.
        evaluation: folder written by `evaluation.report.write`.
        replace: promote even if the current version has a better validation metric. A model of the synthetic
            sample still does not replace a model of real data.

    Raises:
        FileNotFoundError: the checkpoint lacks a file; nothing was written.
        ValueError: a file changed during publishing; no version was stored.
    """
    with calibrated_config(checkpoint / CONFIG, card.temperature) as config:
        return _publish(checkpoint, config, card, registry, evaluation, replace)


def _publish(
    checkpoint: Path, config: Path, card: Card, registry: str, evaluation: Path | None, replace: bool
) -> Published:
    store = open_store(registry)
    content = _checkpoint_files(checkpoint) | {CONFIG: config} | _evaluation_files(evaluation)
    card = dataclasses.replace(card, files={name: sha256(path) for name, path in content.items()})
    stored = _stored(store, card) or _store(store, card, content)
    promoted, reason = _compete(store, stored, replace)
    return Published(
        version=stored.version,
        path=store.address(f"{card.task}/versions/{stored.version}"),
        promoted=promoted,
        reason=reason,
    )


def _checkpoint_files(checkpoint: Path) -> dict[str, Path]:
    absent = [name for name in NEEDED if not (checkpoint / name).is_file()]
    if absent:
        raise FileNotFoundError(f"{checkpoint} is not a checkpoint: it lacks {', '.join(absent)}")
    code = {path.name for path in CODE.glob("*.py")}
    names = (path.name for path in sorted(checkpoint.iterdir()) if path.is_file())
    return {name: checkpoint / name for name in names if name in {*NEEDED, *OPTIONAL} or name in code}


def _evaluation_files(evaluation: Path | None) -> dict[str, Path]:
    if evaluation is None:
        return {}
    return {f"evaluation/{p.name}": p for p in sorted(evaluation.iterdir()) if _is_report(p)}


def _is_report(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.suffix in REPORT


def _stored(store: Store, card: Card) -> Card | None:
    """The card of an intact stored version with the same content, if any; its date may differ."""
    content = card.content
    names = (name for name in version_names(store, card.task) if content.startswith(name.partition("-")[2]))
    known = readable_cards(store, card.task, names)
    return next((each for each in known if each.content == content and _whole(store, each)), None)


def _whole(store: Store, card: Card) -> bool:
    """Whether a version has all its files. In a local folder, which is cheap to read, also checks hashes."""
    folder = f"{card.task}/versions/{card.version}"
    if store.place(folder) is None:
        return card.files.keys() <= set(store.files(folder))
    return not faults(store, folder, card.files)


def _store(store: Store, card: Card, content: Mapping[str, Path]) -> Card:
    """Store a new version and return its card. If a name with six digits of the hash is taken, use more."""
    day, digits = card.created[:10].replace("-", ""), card.content
    for length in range(SHORT, len(digits) + 1):
        named = _finish(dataclasses.replace(card, version=f"{day}-{digits[:length]}"))
        whole: dict[str, Path | bytes] = {**content, README: render(named).encode()}
        whole[CARD] = named.to_json().encode()
        if store.put(f"{card.task}/versions/{named.version}", whole, named.files):
            return named
        same = _stored(store, card)  # stored by another process at the same time
        if same is not None:
            return same
    raise ValueError(
        f"{store.address(f'{card.task}/versions/{day}-{digits}')} is a damaged version; remove it, then "
        "publish again"
    )


def _finish(card: Card) -> Card:
    """Add the README's hash to the card."""
    return dataclasses.replace(card, files=card.files | {README: sha256(render(card).encode())})


def _compete(store: Store, card: Card, replace: bool) -> tuple[bool, str]:
    """Promote the card's version, or return the reason against it."""
    outcome = False, ""

    def decide(now: Pointer) -> Pointer | None:
        nonlocal outcome
        if now.version == card.version:
            outcome = True, "it is already the current version"
            return None
        try:
            incumbent = find_card(store, card.task, now.version) if now.version else None
            refusal = _refusal(card, incumbent, replace)
        except ValueError as error:
            refusal = f"the current version cannot be compared with it: {error}"
        if refusal:
            url = shlex.quote(store.url)
            promote = f"python -m tweetelm.registry promote {card.task} {card.version} --registry {url}"
            outcome = False, f"{refusal}. It is stored; to promote it anyway: {promote}"
            return None
        outcome = True, f"it replaces {incumbent.version}" if incumbent else "it is the first version"
        return now.to(card.version, card.validation)

    current.move(store, card.task, decide)
    return outcome


def _refusal(card: Card, incumbent: Card | None, replace: bool) -> str | None:
    """Why the candidate may not replace the incumbent, or None if it may."""
    data = card.config.get("data", {})
    if data.get("shuffle_labels"):
        return "the model was trained on shuffled labels: a control, not for serving"
    if data.get("hold_out"):
        return f"the model was trained with {data['hold_out']} held out: for measurement, not for serving"
    value = card.validation
    if value is None and not replace:
        return f"its card has no {card.metric} on validation (--run.replace promotes it anyway)"
    if incumbent is None or (incumbent.data["synthetic"] and not card.data["synthetic"]):
        return None
    if card.data["synthetic"] and not incumbent.data["synthetic"]:
        return (
            f"{incumbent.version} was trained on real data; a model of the synthetic sample never replaces it"
        )
    best = incumbent.validation
    if replace or value is None or best is None or card.data["md5"] != incumbent.data["md5"] or value >= best:
        return None
    return (
        f"validation {card.metric} is {value:.4f}, below {best:.4f} of the current version "
        f"{incumbent.version} (--run.replace promotes the new version anyway)"
    )


KEY = "classifier_temperature"


@contextmanager
def calibrated_config(config: Path, temperature: float) -> Iterator[Path]:
    """A config.json with the temperature: the file itself if it is 1, else a temporary copy."""
    if temperature == 1 or not config.is_file():
        yield config
        return
    values = json.loads(config.read_text(encoding="utf-8")) | {KEY: temperature}
    with tempfile.TemporaryDirectory(prefix="tweetelm-config-") as folder:
        copy = Path(folder) / config.name
        copy.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        yield copy
