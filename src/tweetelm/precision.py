"""Which arithmetic a device does well."""

import contextlib
from typing import Literal

import torch
from torch import nn

Precision = Literal["auto", "bf16", "float32"]
LARGE = 50_000_000  # parameters from which on matrix products are what takes the time


def has_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def choose(precision: Precision, device: torch.device) -> Literal["bf16", "float32"]:
    """Resolve "auto"."""
    if precision == "auto":
        return "bf16" if has_bf16(device) else "float32"
    return precision


def autocast(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """bfloat16 autocast where it was chosen, else nothing."""
    if choose(precision, device) == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def use_fast_float32(model: nn.Module) -> None:
    """Route float32 matrix products of a large model on a CPU through oneDNN: exact there, and faster on AMD.

    Left alone for a small model, which the many tiny products of attention then slow down by half, and where
    AMX would make the same setting round to bfloat16. Process-wide: for programs, not the library.
    """
    parameters = list(model.parameters())
    large = sum(p.numel() for p in parameters) >= LARGE
    if large and parameters[0].device.type == "cpu" and not torch.cpu._is_amx_tile_supported():
        torch.set_float32_matmul_precision("medium")


def pick_device(device: str = "auto") -> torch.device:
    """`device`, or the GPU if there is one."""
    if device != "auto":
        return torch.device(device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
