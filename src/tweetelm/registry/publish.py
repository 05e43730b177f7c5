"""From a checkpoint to a version, and to the one that is served if it is the best."""

import dataclasses
import json
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tweetelm.files.hashing import sha256
from tweetelm.registry import current
from tweetelm.registry.card import README, Card
from tweetelm.registry.current import Pointer
from tweetelm.registry.integrity import faults
from tweetelm.registry.model_card import render
from tweetelm.registry.store import CARD, Store, open_store
from tweetelm.registry.versions import find_card, readable_cards, version_names

CONFIG = "config.json"
NEEDED = (CONFIG, "model.safetensors", "tokenizer.json", "tokenizer_config.json", "encoding.json")
OPTIONAL = ("generation_config.json", "special_tokens_map.json")
CODE = Path(__file__).parents[1] / "openelm"  # what a checkpoint carries of it
REPORT = (".json", ".csv", ".html", ".md", ".svg")
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
    same, and `reason` says why; `promote` can still choose it. Any number of processes may publish at the
    same time, and any of them may die at any moment: a version is there whole or not at all, and the best one
    that was promoted stays.

    Args:
        checkpoint: a training checkpoint; its optimizer and training state are left behind.
        card: from `make_card`.
        registry: folder or URL.
        evaluation: folder that `evaluation.report.write` filled.
        replace: promote even over a better validation metric (never the synthetic sample over real data).

    Raises:
        FileNotFoundError: the checkpoint lacks a file; nothing was written.
        ValueError: a file changed while it was published; no version was made.
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
        raise FileNotFoundError(f"{checkpoint} is no checkpoint: it lacks {', '.join(absent)}")
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
    """The card under which the same content is stored already, on whatever day, and is whole."""
    content = card.content
    names = (name for name in version_names(store, card.task) if content.startswith(name.partition("-")[2]))
    known = readable_cards(store, card.task, names)
    return next((each for each in known if each.content == content and _whole(store, each)), None)


def _whole(store: Store, card: Card) -> bool:
    """Whether a version has its files; in a folder, which is cheap to read, also whether they are right."""
    folder = f"{card.task}/versions/{card.version}"
    if store.place(folder) is None:
        return card.files.keys() <= set(store.files(folder))
    return not faults(store, folder, card.files)


def _store(store: Store, card: Card, content: Mapping[str, Path]) -> Card:
    """Store a new version and return its card; more digits of the hash where six are taken by another."""
    day, digits = card.created[:10].replace("-", ""), card.content
    for length in range(SHORT, len(digits) + 1):
        named = _finish(dataclasses.replace(card, version=f"{day}-{digits[:length]}"))
        whole: dict[str, Path | bytes] = {**content, README: render(named).encode()}
        whole[CARD] = named.to_json().encode()
        if store.put(f"{card.task}/versions/{named.version}", whole, named.files):
            return named
        same = _stored(store, card)  # by somebody who published it at the same time
        if same is not None:
            return same
    raise ValueError(
        f"{store.address(f'{card.task}/versions/{day}-{digits}')} is taken by a damaged version; remove it, "
        "then publish again"
    )


def _finish(card: Card) -> Card:
    """The card that knows the README's hash as well."""
    return dataclasses.replace(card, files=card.files | {README: sha256(render(card).encode())})


def _compete(store: Store, card: Card, replace: bool) -> tuple[bool, str]:
    """Promote the card's version, or say why the incumbent stays."""
    outcome = False, ""

    def decide(now: Pointer) -> Pointer | None:
        nonlocal outcome
        if now.version == card.version:
            outcome = True, "it is the current version already"
            return None
        try:
            incumbent = find_card(store, card.task, now.version) if now.version else None
            refusal = _refusal(card, incumbent, replace)
        except ValueError as error:
            refusal = f"what is served now cannot be compared with: {error}"
        if refusal:
            place = shlex.quote(store.url)
            choose = f"python -m tweetelm.registry promote {card.task} {card.version} --registry {place}"
            outcome = False, f"{refusal}. It is stored; to serve it nevertheless: {choose}"
            return None
        outcome = True, f"it replaces {incumbent.version}" if incumbent else "it is the first version"
        return now.to(card.version, card.validation)

    current.move(store, card.task, decide)
    return outcome


def _refusal(card: Card, incumbent: Card | None, replace: bool) -> str | None:
    """Why the candidate may not replace the incumbent, or None if it may."""
    data = card.config.get("data", {})
    if data.get("shuffle_labels"):
        return "the model learned shuffled labels: a control, not a model to serve"
    if data.get("hold_out"):
        return f"{data['hold_out']} was kept from the model: a measurement, not a model to serve"
    value = card.validation
    if value is None and not replace:
        return f"its card has no {card.metric} on validation (--run.replace publishes it anyway)"
    if incumbent is None or (incumbent.data["synthetic"] and not card.data["synthetic"]):
        return None
    if card.data["synthetic"] and not incumbent.data["synthetic"]:
        return (
            f"{incumbent.version} learned from real data; a model of the synthetic sample never replaces one"
        )
    best = incumbent.validation
    if replace or value is None or best is None or card.data["md5"] != incumbent.data["md5"] or value >= best:
        return None
    return (
        f"validation {card.metric} {value:.4f} is below the {best:.4f} of {incumbent.version}, which is "
        "served now (--run.replace publishes the new one anyway)"
    )


KEY = "classifier_temperature"


@contextmanager
def calibrated_config(config: Path, temperature: float) -> Iterator[Path]:
    """The file itself where there is no temperature, else a copy that has it, for as long as this lasts."""
    if temperature == 1 or not config.is_file():
        yield config
        return
    values = json.loads(config.read_text(encoding="utf-8")) | {KEY: temperature}
    with tempfile.TemporaryDirectory(prefix="tweetelm-config-") as folder:
        copy = Path(folder) / config.name
        copy.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        yield copy
