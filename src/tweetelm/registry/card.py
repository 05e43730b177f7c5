"""card.json: where a model comes from and how good it is."""

import dataclasses
import hashlib
import json
import math
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NotRequired, Protocol, TypedDict

from tweetelm.config.train_config import TrainConfig, to_dict
from tweetelm.registry.card_validation import check_card, parse_json
from tweetelm.tasks import SYNTHETIC_NOTICE, TASKS
from tweetelm.version import __version__

RANDOM_NOTICE = "random weights: nothing of Apple's pretraining"
SCRATCH_NOTICE = "trained from scratch"
LIBRARIES = ("torch", "transformers", "ray", "tokenizers", "datasets")
README = "README.md"


class Provenance(Protocol):
    """What a card says of the data; `tweetelm.data.Provenance` has it."""

    @property
    def root(self) -> str: ...
    @property
    def md5(self) -> str: ...
    @property
    def synthetic(self) -> bool: ...
    @property
    def rows(self) -> Mapping[str, int]: ...


class Data(TypedDict):
    """The rows that were learned from and tested on; md5 is DVC's for the task's folder."""

    root: str
    md5: str
    synthetic: bool
    rows: dict[str, int]


class Git(TypedDict):
    """The code that trained; dirty when it differed from the commit."""

    commit: str
    dirty: bool


class Base(TypedDict):
    """The model that fine-tuning started from; hashes are of its files, None where there was none. `head`,
    where the model had a classifier that was replaced, says why."""

    name: str
    init: Literal["pretrained", "random", "scratch"]
    source: str
    revision: str | None
    weights_sha256: str | None
    tokenizer_sha256: str | None
    head: NotRequired[str]


@dataclass(frozen=True, kw_only=True)
class Card:
    """A version's lineage and results, as plain JSON data.

    `metric` names the headline metric within `metrics[split]`; `version` and `files` (sha256 by name, without
    card.json) are filled in by `publish`.
    """

    task: str
    labels: tuple[str, ...]
    version: str = ""
    created: str
    data: Data
    git: Git | None
    config: dict[str, Any]
    libraries: dict[str, str]
    base: Base
    metrics: dict[str, dict[str, Any]]
    metric: str
    temperature: float = 1.0
    threshold: float | None = None
    text: dict[str, Any]
    max_tokens: int
    run: str
    files: dict[str, str] = field(default_factory=dict)

    @property
    def validation(self) -> float | None:
        """The headline metric on validation, by which versions compete."""
        value = self.metrics.get("validation", {}).get(self.metric)
        return None if value is None else float(value)

    @property
    def notices(self) -> list[str]:
        """What must stand wherever a result of this model is shown."""
        weights = {"random": [RANDOM_NOTICE], "scratch": [SCRATCH_NOTICE], "pretrained": []}
        rule = self.config.get("data", {}).get("hold_out")
        held_out = [f"trained without {rule}: a measurement, not a model to serve"] if rule else []
        made_of = [SYNTHETIC_NOTICE] * self.data["synthetic"] + weights[self.base["init"]]
        return made_of + held_out + self._of_one_label()

    def _of_one_label(self) -> list[str]:
        """Of splits whose scores say little: AUROC, which needs both labels, has no value there."""
        return [
            f"every {split} row has the same label: its scores say little"
            for split in ("validation", "test")
            if self.metrics.get(split, {}).get("auroc", 0.0) is None
        ]

    @property
    def content(self) -> str:
        """Digest by which two cards are of the same version; see `content_of`."""
        return content_of(dataclasses.asdict(self))

    def to_json(self) -> str:
        """The text of `card.json`.

        Raises:
            ValueError: a number is NaN or infinite.
        """
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Read a card; fields that a later tweetelm may have added are passed over.

        Raises:
            ValueError: the text is no JSON object, lacks a field, has one of another type, or one that a
                terminal must not be sent.
        """
        return cls._of(parse_json(text))

    @classmethod
    def read(cls, data: bytes, place: str) -> "Card":
        """The card in a file's bytes; ValueError with the file's name and what to do if it is damaged."""
        try:
            return cls.from_json(data.decode("utf-8"))
        except ValueError as error:
            raise ValueError(f"{place} is damaged ({error}); fetch or publish the version again") from error

    @classmethod
    def _of(cls, values: Any) -> "Card":
        known = {f.name: f for f in dataclasses.fields(cls)}
        needed = {name for name, f in known.items() if _required(f)}
        absent = needed - values.keys() if isinstance(values, dict) else needed
        if absent:
            raise ValueError(f"this is no model card: it lacks {', '.join(sorted(absent))}")
        check_card(values)
        kept = {name: value for name, value in values.items() if name in known}
        return cls(**kept | {"labels": tuple(kept["labels"])})


def content_of(values: Mapping[str, Any]) -> str:
    """sha256 of what card.json says, but for the version's own name, its date and the README, which both are
    made from. A version's name begins with it, so that an edited card is noticed: never change what goes in.
    """
    plain = json.loads(json.dumps(values))  # a key that is a number sorts otherwise before it is JSON
    kept = {name: value for name, value in plain.items() if name not in ("version", "created")}
    kept["files"] = {name: digest for name, digest in plain["files"].items() if name != README}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def make_card(
    config: TrainConfig,
    *,
    provenance: Provenance,
    base: Base,
    metrics: dict[str, dict[str, Any]],
    git: Git | None,
    threshold: float | None = None,
    temperature: float = 1.0,
    created: datetime | None = None,
) -> Card:
    """The card of a run's result, ready to publish.

    Args:
        config: what was trained.
        provenance: of the data, from `tweetelm.data.provenance`.
        base: what training started from.
        metrics: `Evaluation.metrics`; must hold the task's headline metric on validation.
        git: from `git_state`; taken by the caller, for a cluster's workers run a copy without .git.
        threshold: P(positive) from which the positive label is told; None: the likeliest label.
        temperature: divides the logits before softmax.
        created: by default now.
    """
    task = TASKS[config.task]
    value = metrics.get("validation", {}).get(task.metric)
    if value is None or not math.isfinite(value):
        raise ValueError(
            f"{task.metric} on validation is {value}; expected a number: evaluate before making a card"
        )
    return Card(
        task=task.name,
        labels=task.labels,
        created=(created or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
        data=Data(
            root=provenance.root,
            md5=provenance.md5,
            synthetic=provenance.synthetic,
            rows=dict(provenance.rows),
        ),
        git=git,
        config=to_dict(config),
        libraries=library_versions(),
        base=base,
        metrics=metrics,
        metric=task.metric,
        temperature=temperature,
        threshold=threshold,
        text=dataclasses.asdict(config.text),
        max_tokens=config.model.max_tokens,
        run=config.run_name,
    )


def library_versions() -> dict[str, str]:
    """Versions of what decides a result; a library that is not installed is left out."""
    installed = {}
    for name in LIBRARIES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed | {"tweetelm": __version__, "python": platform.python_version()}


def git_state(folder: Path) -> Git | None:
    """Commit of the checkout around `folder`, and whether files differ from it; None outside a checkout, and
    in a folder of which that knows no file, such as an unpacked ZIP."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None or not _git(folder, "ls-files", "."):
        return None
    return Git(commit=commit, dirty=bool(_git(folder, "status", "--porcelain")))


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # there is no git, or it cannot be run
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def _required(f: "dataclasses.Field[Any]") -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
