"""Everything a run must remember to go on exactly where it stopped: safetensors and JSON, no pickle."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tweetelm.openelm import OpenELMForSequenceClassification

STATE_FILE, OPTIMIZER_FILE, WEIGHTS_FILE = "state.json", "optimizer.safetensors", "model.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(kw_only=True)
class Progress:
    """Where a run is. `step` counts finished optimiser steps; dropout is seeded by it, so no RNG state is
    kept."""

    step: int = 0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    """Validations since the best one."""
    stopped: bool = False
    """Whether early stopping ended the run."""


@dataclass(kw_only=True)
class TrainingState:
    """A model, its optimiser and its progress."""

    model: OpenELMForSequenceClassification
    optimiser: torch.optim.Optimizer
    progress: Progress = dataclasses.field(default_factory=Progress)

    def save(self, folder: Path, extra: dict[str, Any]) -> None:
        """Write the model as a transformers folder with its code, the optimiser, and the progress with
        `extra`."""
        self.model.save_pretrained(folder, max_shard_size="100GB")
        save_file(self._moments(), folder / OPTIMIZER_FILE)
        document = {"progress": dataclasses.asdict(self.progress), **extra}
        (folder / STATE_FILE).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    def restore(self, folder: Path) -> None:
        """Read back what `save` wrote, into the model and the optimiser that this state holds."""
        self.model.load_state_dict(load_file(folder / WEIGHTS_FILE))
        stored = load_file(folder / OPTIMIZER_FILE)
        for name, parameter in self._learning():
            if f"step/{name}" in stored:
                moments = {key: stored[f"{key}/{name}"] for key in _MOMENTS}
                device = parameter.device
                self.optimiser.state[parameter] = {key: value.to(device) for key, value in moments.items()}
        document = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        self.progress = Progress(**document["progress"])

    def _moments(self) -> dict[str, torch.Tensor]:
        state = self.optimiser.state
        return {
            f"{key}/{name}": state[parameter][key].detach().cpu()
            for name, parameter in self._learning()
            if parameter in state
            for key in _MOMENTS
        }

    def _learning(self) -> list[tuple[str, torch.nn.Parameter]]:
        return [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
