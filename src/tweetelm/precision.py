"""Selects device and floating-point precision."""

import contextlib
from typing import Literal

import torch
from torch import nn

Precision = Literal["auto", "bf16", "float32"]
InferencePrecision = Literal["auto", "int8", "bf16", "float32"]
LARGE = 50_000_000  # parameters; from this size, matrix products take most of the time


def has_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 matrices in hardware, without emulation."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        in_hardware = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return bool(in_hardware and torch.ops.mkldnn._is_mkldnn_bf16_supported())  # unless switched off
    return False


def choose(precision: Precision, device: torch.device) -> Literal["bf16", "float32"]:
    """Resolve "auto" to bf16 if the device supports it in hardware, else to float32."""
    if precision == "auto":
        return "bf16" if has_bf16(device) else "float32"
    return precision


def autocast(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """A bfloat16 autocast context for bf16, else a context that does nothing."""
    if choose(precision, device) == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def use_fast_float32(model: nn.Module) -> None:
    """Use oneDNN for the float32 matrix products of a large model on a CPU: exact, and faster on AMD.

    Does nothing for a small model, whose many small attention products would become half as fast, and on
    CPUs with AMX, where the same setting rounds to bfloat16. The setting applies to the whole process: call
    this from programs, not from the library.
    """
    parameters = list(model.parameters())
    large = sum(p.numel() for p in parameters) >= LARGE
    if large and parameters[0].device.type == "cpu" and not torch.cpu._is_amx_tile_supported():
        torch.set_float32_matmul_precision("medium")


def pick_device(device: str = "auto") -> torch.device:
    """The named device; "auto" is the GPU if there is one, else the CPU."""
    if device != "auto":
        return torch.device(device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
