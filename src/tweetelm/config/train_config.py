"""The configuration of a training run: a frozen dataclass that defines the command line."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from tweetelm.config.checks import check_choices, require
from tweetelm.config.distill_section import DistillConfig
from tweetelm.config.run_sections import RunConfig, TrackingConfig
from tweetelm.config.sections import (
    DataConfig,
    LoopConfig,
    ModelConfig,
    OptimConfig,
    PretrainConfig,
)
from tweetelm.config.text_config import TextConfig
from tweetelm.files.names import check_name, safe_name
from tweetelm.tasks import Task, as_task, to_json

__all__ = [
    "DataConfig",
    "DistillConfig",
    "LoopConfig",
    "ModelConfig",
    "OptimConfig",
    "PretrainConfig",
    "RunConfig",
    "TrackingConfig",
    "TrainConfig",
    "check_effects",
    "preparation_key",
    "to_dict",
]

_PLACEMENT = ("name", "run", "tracking")
# Settings added after the first runs, and their defaults, which are not part of the identity: names stay
_ADDED: tuple[tuple[str, str, Any], ...] = (
    ("model", "layers", None),
    ("loop", "average", 0.0),
    ("loop", "cuda_graphs", False),
    ("pretrain", "text", []),
    ("pretrain", "column", "text"),
)
_LONGEST_NAME = 200  # bytes; names of trials and seeds extend the given name
_FROM_RANDOM, _FROM_PRETRAINED, _LORA = 1e-3, 3e-5, 3e-4


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Fine-tune an OpenELM model into a tweet classifier."""

    task: Task
    """hate (is this tweet hate speech?), deepfake (did a machine write it?), or the TOML file of a task of
    your own, which `tweetelm data init` writes."""
    name: str | None = None
    """Name of the run; the same name resumes it. Default: derived from the configuration."""
    data: DataConfig = field(default_factory=DataConfig)
    text: TextConfig = field(default_factory=TextConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    run: RunConfig = field(default_factory=RunConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    def __post_init__(self) -> None:
        check_choices(self)
        object.__setattr__(self, "task", as_task(self.task))
        if self.name is not None:
            check_name(self.name, "--name", _LONGEST_NAME)
        require(
            self.run.threshold == "argmax" or self.task.binary,
            f"run.threshold validation needs a task with two labels; {self.task.name} has "
            f"{len(self.task.labels)}: omit --run.threshold",
        )
        require(
            self.loop.micro_tokens is None or self.loop.micro_tokens >= self.model.max_tokens,
            f"loop.micro_tokens ({self.loop.micro_tokens}) is less than model.max_tokens "
            f"({self.model.max_tokens}): "
            "the longest tweet would not fit; raise --loop.micro-tokens or lower --model.max-tokens",
        )

    @property
    def learning_rate(self) -> float:
        """The effective peak learning rate of classification."""
        if self.optim.lr is not None:
            return self.optim.lr
        return _FROM_RANDOM if self.optim.mode == "head" else self._usual_rate

    @property
    def pretrain_rate(self) -> float:
        """The effective peak learning rate of language modeling."""
        return self._usual_rate if self.pretrain.lr is None else self.pretrain.lr

    @property
    def _usual_rate(self) -> float:
        if self.model.random:
            return _FROM_RANDOM
        return _LORA if self.optim.mode == "lora" else _FROM_PRETRAINED

    @property
    def trains_all_weights(self) -> bool:
        """Whether every weight is trained in some phase; this decides how much memory a run takes."""
        return self.optim.mode == "full" or (self.optim.mode == "head" and self.pretrain.epochs > 0)

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that decide what is learned, as plain JSON data; not name, placement and tracking."""
        values = to_dict(self)
        if isinstance(values["task"], dict):
            values["task"].pop("place", None)  # the same files in another folder are the same task
        for section, name, default in _ADDED:
            if values[section][name] == default:
                del values[section][name]
        if self.distill.teacher is None:
            del values["distill"]
        kept: dict[str, Any] = json.loads(
            json.dumps({k: v for k, v in values.items() if k not in _PLACEMENT})
        )
        return kept

    @property
    def run_name(self) -> str:
        """The given name, or one derived from the task, the model and a hash of the identity."""
        if self.name:
            return self.name
        model = safe_name(self.model.name.rstrip("/").rsplit("/", 1)[-1].lower())
        digest = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()
        return f"{self.task.name}-{model}-{digest[:8]}"

    @property
    def folder(self) -> str:
        """Absolute path or URL of the run: `run_name` in `run.storage`."""
        return f"{self.run.storage_folder}/{self.run_name}"


def preparation_key(config: TrainConfig) -> str:
    """Return a key that is equal for configurations with the same prepared data."""
    names = ("name", "init", "revision", "tokenizer", "layers", "max_tokens")
    model = {name: getattr(config.model, name) for name in names}
    parts = [to_json(config.task), dataclasses.asdict(config.data), dataclasses.asdict(config.text), model]
    return json.dumps(
        [
            *parts,
            config.loop.seed,
            *(config.pretrain.text, config.pretrain.column),
            *(config.distill.teacher, config.distill.text, config.distill.column),
        ],
        sort_keys=True,
    )


def check_effects(config: TrainConfig) -> None:
    """Raise ValueError for settings without effect: unlabeled tweets that no phase reads, distillation
    without a teacher. Trials of a search may have such settings, commands may not."""
    require(
        not config.pretrain.text or config.pretrain.epochs > 0,
        "pretrain.text has no effect without language modeling; set --pretrain.epochs to at least 1, or omit "
        "--pretrain.text",
    )
    without = dataclasses.replace(config.distill, teacher=None)
    require(
        config.distill.teacher is not None or without == DistillConfig(),
        "the settings of distill have no effect without a teacher; set --distill.teacher to a published "
        "version, or omit them",
    )


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """Return the configuration as JSON data, for `train_loop_config` and the model card."""
    values = dataclasses.asdict(config) | {"task": to_json(config.task)}
    plain: dict[str, Any] = json.loads(json.dumps(values))  # with lists for tuples
    return plain
