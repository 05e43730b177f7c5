"""Runs the kernels of this package on the rows of tensors, on the threads of torch."""

import importlib.util
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.activations import ACT2FN

from ..configuration_openelm import OpenELMConfig

_FEWEST_ROWS = 32  # of each part of a sum
_PARTS_PER_THREAD = 4
HEAD_DIVISOR = 8  # elements of the shortest vector
_SWISH = type(ACT2FN["swish"])


def why_no_kernels(config: OpenELMConfig) -> str:
    """Why a model's layers cannot be fused; "" if they can."""
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed; type: pip install numba"
    if not config.ffn_with_glu or type(ACT2FN[config.activation_fn_name]) is not _SWISH:
        return "only gated feed-forward blocks with swish are supported"
    if config.head_dim % HEAD_DIVISOR:
        return f"head_dim is {config.head_dim}; only multiples of {HEAD_DIVISOR} are supported"
    return ""


def run(name: str, rows: int, *arguments: Tensor | float) -> None:
    """Run a kernel of `kernels` on all rows, in more parts than threads, so that no thread waits long.

    Even two rows start all threads, which are awake anyway.
    """
    _run("kernels", name, rows, min(rows, _PARTS_PER_THREAD * parts(rows)), arguments)


def run_parts(name: str, rows: int, *arguments: Tensor | float) -> None:
    """Run a kernel of `gradients` on all rows, in `parts(rows)` parts, for sums over rows."""
    _run("gradients", name, rows, parts(rows), arguments)


def parts(rows: int) -> int:
    """The number of parts of the rows: as many as torch uses threads, fewer for few rows."""
    return max(1, min(torch.get_num_threads(), rows // _FEWEST_ROWS))


def _run(module: str, name: str, rows: int, count: int, arguments: Sequence[Tensor | float]) -> None:
    threads = torch.get_num_threads() if count > 1 else 1  # a smaller team would end the other threads
    _compiled(module, name)(threads, count, rows, *[_argument(value) for value in arguments])


@cache
def _compiled(module: str, name: str) -> Callable[..., None]:
    # imported here, because numba takes a second to import and is not needed on a GPU
    found: Callable[..., None] = getattr(import_module(f"{__package__}.{module}"), name)
    return found


def _argument(value: Tensor | float) -> Any:
    """A tensor's memory as an array, bfloat16 as uint16; a number as float32 or int."""
    if isinstance(value, Tensor):
        return (value.view(torch.uint16) if value.dtype == torch.bfloat16 else value).numpy()
    return np.float32(value) if isinstance(value, float) else value
