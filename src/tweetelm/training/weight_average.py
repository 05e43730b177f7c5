"""The mean of the trained weights over the last steps of a run (SWA, arXiv 1803.05407)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_swa_multi_avg_fn

Weights = Mapping[str, Tensor]


def updated_mean(means: Weights, weights: Weights, count: int) -> Weights:
    """The mean of `count` sets of weights and one more; updates the tensors of `means` in place."""
    if not count:
        return {name: weight.detach().clone() for name, weight in weights.items()}
    get_swa_multi_avg_fn()([means[name] for name in weights], list(weights.values()), count)
    return means


@contextmanager
def exchanged(model: nn.Module, others: Weights) -> Iterator[None]:
    """Exchange the values of the model's parameters with `others` inside the context, which returns them."""
    _exchange(model, others)
    try:
        yield
    finally:
        _exchange(model, others)


@torch.no_grad()
def _exchange(model: nn.Module, others: Weights) -> None:
    for name, other in others.items():
        parameter = model.get_parameter(name)
        value = parameter.clone()
        parameter.copy_(other)
        other.copy_(value)
