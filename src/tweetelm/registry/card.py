"""card.json: the lineage and the results of a model."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NotRequired, Protocol, TypedDict

from tweetelm.config.train_config import TrainConfig, to_dict
from tweetelm.data.mix.lineage import MixLineage
from tweetelm.data.unlabeled import UnlabeledFiles
from tweetelm.registry.card_validation import check_card, parse_json
from tweetelm.registry.code_version import Git, library_versions
from tweetelm.tasks import SYNTHETIC_NOTICE, Task, from_json

RANDOM_NOTICE = "random initial weights: no pretraining"
SCRATCH_NOTICE = "trained from scratch"
README = "README.md"


class Provenance(Protocol):
    """The data fields of a card; `tweetelm.data.Provenance` implements this."""

    @property
    def root(self) -> str: ...
    @property
    def md5(self) -> str: ...
    @property
    def synthetic(self) -> bool: ...
    @property
    def rows(self) -> Mapping[str, int]: ...
    @property
    def unlabeled(self) -> UnlabeledFiles | None: ...
    @property
    def distilled(self) -> UnlabeledFiles | None: ...
    @property
    def mix(self) -> MixLineage | None: ...


class Data(TypedDict):
    """The training and evaluation data; md5 is DVC's hash of the task's folder.

    `unlabeled` and `distilled` have the fields of `UnlabeledFiles`, if the run or its teacher read unlabeled
    tweets; `mix` those of `MixLineage`, for a mixed dataset.
    """

    root: str
    md5: str
    synthetic: bool
    rows: dict[str, int]
    unlabeled: NotRequired[dict[str, Any]]
    distilled: NotRequired[dict[str, Any]]
    mix: NotRequired[dict[str, Any]]


class Base(TypedDict):
    """The base model of fine-tuning. Hashes are None if there was no file. `head` is set if the base model
    had a classifier that was replaced, and gives the reason. `origin` is the origin.json of an imported
    model. `teacher` names the version whose probabilities were learned, and has its content digest."""

    name: str
    init: Literal["pretrained", "random", "scratch"]
    source: str
    revision: str | None
    weights_sha256: str | None
    tokenizer_sha256: str | None
    head: NotRequired[str]
    origin: NotRequired[dict[str, str]]
    teacher: NotRequired[dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Card:
    """The lineage and results of a version, as plain JSON data.

    `metric` is the key of the headline metric in `metrics[split]`. `publish` sets `version` and `files`
    (sha256 by name, without card.json).
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
    def definition(self) -> Task:
        """The task, with its files as they were when the model was trained.

        Raises:
            ValueError: the card's task is damaged or unknown.
        """
        return from_json(self.config.get("task", self.task))

    @property
    def validation(self) -> float | None:
        """The headline metric on validation, which decides promotion; None if it is missing."""
        value = self.metrics.get("validation", {}).get(self.metric)
        return None if value is None else float(value)

    @property
    def notices(self) -> list[str]:
        """Notices to show with every result of this model."""
        weights = {"random": [RANDOM_NOTICE], "scratch": [SCRATCH_NOTICE], "pretrained": []}
        rule = self.config.get("data", {}).get("hold_out")
        held_out = [f"trained with {rule} held out: for measurement, not for serving"] if rule else []
        made_of = [SYNTHETIC_NOTICE] * self.data["synthetic"] + weights[self.base["init"]]
        return made_of + held_out + self._of_one_label()

    def _of_one_label(self) -> list[str]:
        """Notices about splits with one label; they have no AUROC, which needs both labels."""
        return [
            f"every {split} row has the same label: its scores are not meaningful"
            for split in ("validation", "test")
            if self.metrics.get(split, {}).get("auroc", 0.0) is None
        ]

    @property
    def content(self) -> str:
        """The digest that identifies a version; see `content_of`."""
        return content_of(dataclasses.asdict(self))

    def to_json(self) -> str:
        """The text of `card.json`.

        Raises:
            ValueError: a number is NaN or infinite.
        """
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Parse a card; ignores unknown fields, which later versions of tweetelm may add.

        Raises:
            ValueError: the text is not a JSON object, lacks a field, or has a field of a wrong type or with
                characters that control a terminal.
        """
        return cls._of(parse_json(text))

    @classmethod
    def read(cls, data: bytes, path: str) -> "Card":
        """Parse the bytes of a card file. If they are damaged, the ValueError names `path` and the remedy."""
        try:
            return cls.from_json(data.decode("utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is damaged ({error}); download or publish the version again") from error

    @classmethod
    def _of(cls, values: Any) -> "Card":
        known = {f.name: f for f in dataclasses.fields(cls)}
        needed = {name for name, f in known.items() if _required(f)}
        absent = needed - values.keys() if isinstance(values, dict) else needed
        if absent:
            raise ValueError(f"this is not a model card: it lacks {', '.join(sorted(absent))}")
        check_card(values)
        kept = {name: value for name, value in values.items() if name in known}
        return cls(**kept | {"labels": tuple(kept["labels"])})


def content_of(values: Mapping[str, Any]) -> str:
    """sha256 of the content of card.json, without the version's name, its date and the README's hash.

    The README is excluded because it contains the name and the date. A version's name contains the start of
    this digest, which reveals edited cards. Do not change its input: existing names would not match.
    """
    plain = json.loads(json.dumps(values))  # JSON turns number keys into strings, which sort differently
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
    """Make the card of a run's result, ready to publish.

    Args:
        config: the run's configuration.
        provenance: origin and hash of the data, from `tweetelm.data.provenance`.
        base: the base model.
        metrics: `Evaluation.metrics`; must contain the task's headline metric on validation.
        git: from `git_state`. The caller passes it, because workers of a cluster have no .git folder.
        threshold: minimum P(positive) to predict the positive label; None predicts the most probable label.
        temperature: divides the logits before softmax.
        created: time of creation; by default, now.

    Raises:
        ValueError: the headline metric on validation is missing or not finite.
    """
    task = config.task
    value = metrics.get("validation", {}).get(task.metric)
    if value is None or not math.isfinite(value):
        raise ValueError(
            f"{task.metric} on validation is {value}; expected a finite number; evaluate on validation first"
        )
    data = Data(
        root=provenance.root,
        md5=provenance.md5,
        synthetic=provenance.synthetic,
        rows=dict(provenance.rows),
    )
    if provenance.unlabeled:
        data["unlabeled"] = _plain(provenance.unlabeled)
    if provenance.distilled:
        data["distilled"] = _plain(provenance.distilled)
    if provenance.mix:
        data["mix"] = dataclasses.asdict(provenance.mix)
    return Card(
        task=task.name,
        labels=task.labels,
        created=(created or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
        data=data,
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


def _plain(found: UnlabeledFiles) -> dict[str, Any]:
    return dataclasses.asdict(found) | {"files": list(found.files)}


def _required(f: "dataclasses.Field[Any]") -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
