"""Runs the kernels of this package on the rows of tensors, in several threads."""

import importlib.util
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.activations import ACT2FN

from ..configuration_openelm import OpenELMConfig

_ROWS_PER_THREAD = 64
_SWISH = type(ACT2FN["swish"])


def why_no_kernels(config: OpenELMConfig) -> str:
    """Why a model's layers cannot be fused; "" if they can."""
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed; type: pip install numba"
    if not config.ffn_with_glu or type(ACT2FN[config.activation_fn_name]) is not _SWISH:
        return "only gated feed-forward blocks with swish are supported"
    return ""


def run(name: str, rows: int, *arguments: Tensor | float) -> None:
    """Run a kernel of `kernels` on all rows: its first two arguments select the rows of a thread."""
    kernel, given = _compiled("kernels", name), [_argument(value) for value in arguments]
    _in_threads(lambda part, start, stop: kernel(start, stop, *given), rows)


def run_parts(name: str, rows: int, *arguments: Tensor | float) -> None:
    """Run a kernel of `gradients`: like `run`, but its first argument is the number of the thread, from 0 to
    `parts(rows)` - 1, for sums over rows."""
    kernel, given = _compiled("gradients", name), [_argument(value) for value in arguments]
    _in_threads(lambda part, start, stop: kernel(part, start, stop, *given), rows)


def parts(rows: int) -> int:
    """The number of threads that share the rows: as many as torch uses, fewer for few rows."""
    return max(1, min(torch.get_num_threads(), rows // _ROWS_PER_THREAD))


def _in_threads(work: Callable[[int, int, int], None], rows: int) -> None:
    count = parts(rows)
    if count == 1:
        work(0, 0, rows)
        return
    bounds = pairwise([rows * part // count for part in range(count + 1)])
    for done in [_pool().submit(work, part, *bound) for part, bound in enumerate(bounds)]:
        done.result()


@cache
def _compiled(module: str, name: str) -> Callable[..., None]:
    # imported here, because numba takes a second to import and is not needed on a GPU
    found: Callable[..., None] = getattr(import_module(f"{__package__}.{module}"), name)
    return found


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="kernels")


def _argument(value: Tensor | float) -> Any:
    """A tensor's memory as an array, bfloat16 as uint16; a number as float32 or int."""
    if isinstance(value, Tensor):
        return (value.view(torch.uint16) if value.dtype == torch.bfloat16 else value).numpy()
    return np.float32(value) if isinstance(value, float) else value
