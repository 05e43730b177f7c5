"""The state of a run, saved and restored for an exact resume: safetensors and JSON, no pickle."""

import contextlib
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tweetelm.config.train_config import OptimConfig
from tweetelm.files import atomic
from tweetelm.files.json_file import parse_object
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.training import OPTIMIZER_FILE
from tweetelm.training.adapters import is_adapter, merged_weights
from tweetelm.training.optimizer import build_optimizer, freeze
from tweetelm.training.phases import Phase
from tweetelm.training.weight_average import Weights, exchanged, updated_mean

STATE_FILE, WEIGHTS_FILE = "state.json", "model.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
_ADAPTER, _RAW = "adapter/", "raw/"


@dataclass(kw_only=True)
class Progress:
    """The progress of a run. No RNG state is saved, because `step` seeds dropout."""

    step: int = 0
    """Finished optimizer steps."""
    best: float | None = None
    """The best validation score."""
    best_step: int = 0
    """Finished steps at the best validation."""
    stale: int = 0
    """Validations since the best one."""
    stopped: bool = False
    """Whether early stopping ended the run."""
    averaged: int = 0
    """Steps in the mean of the weights."""


@dataclass(kw_only=True)
class TrainingState:
    """A model, its progress, the optimizer of the current phase, and the mean of the trained weights, if they
    are averaged."""

    model: OpenELMForSequenceClassification
    progress: Progress = dataclasses.field(default_factory=Progress)
    _optimizer: torch.optim.AdamW | None = None
    _restored: dict[str, torch.Tensor] = dataclasses.field(default_factory=dict)
    _means: Weights = dataclasses.field(default_factory=dict)

    @property
    def optimizer(self) -> torch.optim.AdamW:
        """The optimizer of the current phase."""
        assert self._optimizer is not None, "no phase has been entered"
        return self._optimizer

    def enter(self, phase: Phase, config: OptimConfig) -> None:
        """Start or resume a phase: freeze the other weights and build the optimizer."""
        freeze(self.model, phase.mode)
        layers = self.model.config.num_transformer_layers
        self._optimizer = build_optimizer(self.model, config, phase.peak, layers)
        if self.progress.step > phase.start:
            self._load_moments()
        self._restored = {}

    def learning(self) -> list[tuple[str, torch.nn.Parameter]]:
        """The trainable parameters with their names."""
        return [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]

    def add_to_average(self) -> None:
        """Include the current weights in their mean."""
        self._means = updated_mean(self._means, dict(self.learning()), self.progress.averaged)
        self.progress.averaged += 1

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """A context in which the model has the mean of its weights, if there is one."""
        return exchanged(self.model, self._means)

    def save(self, folder: Path, extra: dict[str, Any]) -> None:
        """Write a checkpoint: the model as a transformers folder with its code, the optimizer state, and the
        progress. `extra` is added to the JSON file of the progress.

        The model has averaged weights once averaging began; the optimizer's file then has the raw ones too.
        """
        with self.averaged():
            adapters = self._adapters()
            merged = merged_weights(self.model) if adapters else None
            self.model.save_pretrained(folder, max_shard_size="100GB", state_dict=merged)
            raw = {_RAW + name: value.cpu() for name, value in self._means.items()}  # exchanged
            save_file(self._moments() | adapters | raw, folder / OPTIMIZER_FILE)
        document = {"progress": dataclasses.asdict(self.progress), **extra}
        atomic.write_text(folder / STATE_FILE, json.dumps(document, indent=2) + "\n")

    def restore(self, folder: Path) -> None:
        """Load a checkpoint written by `save` into this state.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: the file of the progress is damaged.
        """
        stored = load_file(folder / OPTIMIZER_FILE)
        adapters, raw = _under(_ADAPTER, stored), _under(_RAW, stored)
        if adapters:  # all other weights are frozen and equal those of the base model
            self.model.load_state_dict(adapters, strict=False)
        else:
            self.model.load_state_dict(load_file(folder / WEIGHTS_FILE))
        self._means = {name: self.model.get_parameter(name).detach().clone() for name in raw}
        self.model.load_state_dict(raw, strict=False)
        self._restored = stored
        file, remedy = folder / STATE_FILE, "delete this checkpoint: the one before it is then used"
        document = parse_object(file.read_bytes(), file, remedy, {"progress": dict})
        self.progress = Progress(**document["progress"])

    def _adapters(self) -> dict[str, torch.Tensor]:
        """The adapters and the classifier; empty if the model has no adapters."""
        state = self.model.state_dict()
        if not any(map(is_adapter, state)):
            return {}
        kept = (name for name in state if is_adapter(name) or name.startswith("score."))
        return {_ADAPTER + name: state[name].detach().cpu() for name in kept}

    def _moments(self) -> dict[str, torch.Tensor]:
        state = self.optimizer.state
        return {
            f"{key}/{name}": state[parameter][key].detach().cpu()
            for name, parameter in self.learning()
            if parameter in state
            for key in _MOMENTS
        }

    def _load_moments(self) -> None:
        """Set the optimizer's moments to the ones that `restore` read."""
        for name, parameter in self.learning():
            if f"step/{name}" in self._restored:
                moments = {key: self._restored[f"{key}/{name}"] for key in _MOMENTS}
                self.optimizer.state[parameter] = {k: v.to(parameter.device) for k, v in moments.items()}


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors whose names have a prefix, by the rest of the name."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
