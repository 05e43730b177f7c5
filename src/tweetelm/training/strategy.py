"""How a step is spread over workers: data parallelism with torch's DDP. The only module that knows of
ranks."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, kw_only=True)
class DataParallel:
    """One of `world` workers, each with a copy of the model on `device`. The process group must exist if
    world > 1."""

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def is_rank0(self) -> bool:
        """Whether this worker writes files and reports."""
        return self.rank == 0

    def wrap(self, module: nn.Module, dummy_loss: Callable[[nn.Module], Tensor]) -> nn.Module:
        """The module as training calls it.

        `dummy_loss` gives a loss of weight zero, from all of the module. DDP reorders its gradient buckets
        after the first backward pass; done here, the order of summation is the same at every step, whether
        or not the run was interrupted.
        """
        if self.world == 1:
            return module
        wrapped = DistributedDataParallel(module, gradient_as_bucket_view=True)
        for _ in range(2):
            dummy_loss(wrapped).backward()
        wrapped.zero_grad(set_to_none=True)
        return wrapped

    def accumulating(self, wrapped: nn.Module, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients are summed over workers in the last backward pass of a step only."""
        if isinstance(wrapped, DistributedDataParallel) and not last:
            return wrapped.no_sync()
        return contextlib.nullcontext()

    def total(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all workers."""
        if self.world > 1:
            dist.all_reduce(value)
        return value

    def gather(self, value: Any) -> list[Any]:
        """Every worker's `value`, in the order of ranks, on every worker."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values
