"""AdamW's parameter groups and the learning-rate schedule."""

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
    """Let every weight learn ("full"), the classifier alone ("head"), or it and the adapters ("lora")."""
    for name, parameter in model.named_parameters():
        adapts = mode == "lora" and is_adapter(name)
        parameter.requires_grad_(mode == "full" or adapts or name.startswith("score."))


def build_optimizer(model: nn.Module, config: OptimConfig, lr: float, layers: int) -> torch.optim.AdamW:
    """AdamW over the weights that learn. Matrices decay, norms do not; each layer's rate is `layer_decay`
    times that of the layer above, the classifier and the final norm on top, the embedding at the bottom.
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
    """Set every group's rate for `step` (from 0) of the run, which lies in `phase`; returns the largest."""
    scale = schedule(config, step - phase.start, len(phase.steps))
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * scale
    return max(float(group["lr"]) for group in optimizer.param_groups)


def schedule(config: OptimConfig, step: int, total: int) -> float:
    """Share of the peak rate at `step` (from 0) of `total`: linear warm-up, then cosine, linear or
    constant."""
    warmup = max(1, round(config.warmup * total))
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, total - warmup)
    if config.schedule == "constant":
        return 1.0
    return 1.0 - progress if config.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
