"""Parameter groups of AdamW and the learning-rate schedule."""

import math
import re

import torch
from torch import nn

from tweetelm.config.train_config import OptimConfig
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.training.adapters import is_adapter
from tweetelm.training.phases import Phase

_LAYER = re.compile(r"\.layers\.(\d+)\.")


def freeze(model: OpenELMForSequenceClassification, mode: str) -> None:
    """Train all weights ("full"), only the classifier ("head"), or the classifier and adapters ("lora")."""
    for name, parameter in model.named_parameters():
        adapts = mode == "lora" and is_adapter(name)
        parameter.requires_grad_(mode == "full" or adapts or name.startswith("score."))


def build_optimizer(model: nn.Module, config: OptimConfig, lr: float, layers: int) -> torch.optim.AdamW:
    """AdamW over the trainable weights.

    Weight decay applies to matrices, not to norms. The learning rate of a layer is `layer_decay` times that
    of the layer above it. The classifier and the final norm are the top layer, the embedding the bottom one.

    Args:
        model: the classifier, after `freeze`.
        config: the optimizer's settings.
        lr: peak learning rate of the top layer.
        layers: number of decoder layers.
    """
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((_depth(name, layers), parameter.dim() > 1), []).append(parameter)
    described = [
        {
            "params": members,
            "peak_lr": lr * config.layer_decay ** (layers + 1 - depth),
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (depth, decays), members in sorted(groups.items(), key=lambda item: item[0])
    ]
    return torch.optim.AdamW(described, lr=lr, betas=(config.beta1, config.beta2), fused=True)


def _depth(name: str, layers: int) -> int:
    found = _LAYER.search(name)
    if found:
        return int(found[1]) + 1
    return 0 if "token_embeddings" in name else layers + 1


def set_learning_rate(
    optimizer: torch.optim.Optimizer, config: OptimConfig, phase: Phase, step: int
) -> float:
    """Set the learning rate of every group for `step` of the run (from 0), a step of `phase`.

    Returns:
        The largest learning rate.
    """
    scale = schedule(config, step - phase.start, len(phase.steps))
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * scale
    return max(float(group["lr"]) for group in optimizer.param_groups)


def schedule(config: OptimConfig, step: int, total: int) -> float:
    """The learning rate at `step` (from 0) of `total` steps, as a fraction of the peak.

    Linear warm-up, then cosine decay, linear decay or a constant rate.
    """
    warmup = max(1, round(config.warmup * total))
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, total - warmup)
    if config.schedule == "constant":
        return 1.0
    return 1.0 - progress if config.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
