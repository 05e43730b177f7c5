"""Data parallelism over workers with torch's DDP. No other module of this package uses torch.distributed."""

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
    """One of `world` workers, each with a copy of the model on `device`.

    If `world` > 1, the process group must already be initialized.
    """

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def is_rank0(self) -> bool:
        """Whether this worker writes files and reports."""
        return self.rank == 0

    def wrap(self, module: nn.Module, dummy_loss: Callable[[nn.Module], Tensor]) -> nn.Module:
        """Wrap the module in DDP if there are several workers.

        `dummy_loss` returns a loss of weight zero that uses every parameter of the module. DDP rebuilds its
        gradient buckets after the first backward pass. Running that pass here keeps the order of summation
        the same at every step, so that a resumed run is bit-identical to an uninterrupted one.
        """
        if self.world == 1:
            return module
        wrapped = DistributedDataParallel(module, gradient_as_bucket_view=True)
        for _ in range(2):
            dummy_loss(wrapped).backward()
        wrapped.zero_grad(set_to_none=True)
        return wrapped

    def accumulating(self, wrapped: nn.Module, last: bool) -> contextlib.AbstractContextManager[Any]:
        """A context in which DDP all-reduces gradients only if this is the `last` backward pass of a step."""
        if isinstance(wrapped, DistributedDataParallel) and not last:
            return wrapped.no_sync()
        return contextlib.nullcontext()

    def total(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all workers, in place."""
        if self.world > 1:
            dist.all_reduce(value)
        return value

    def gather(self, value: Any) -> list[Any]:
        """The `value` of every worker, in order of rank; returned on every worker."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values
