"""Packs weights once for the matrix kernels of a CPU, instead of at every call; for inference only.

oneDNN, torch's matrix library on CPUs, reads weights in its own blocked layout. It converts the weights of an
`nn.Linear` at each call, which is most expensive relative to the work for a single tweet. The gated
feed-forward block also becomes two products with fused activation and gate. In float32, the products are
exact on AVX-512 too, where torch's default library uses only half of the machine.

The layers of this module have no parameters: a prepacked model cannot be trained, saved or moved.
"""

import os

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from ..layers import OpenELMDecoderLayer, OpenELMFeedForward

# Number of kernels in oneDNN's cache, about 1 MB each with AMX; read when the first kernel is made. The
# default is 1,024, but the 270M model needs 79 kernels for each of 16 row sizes (`packing.few_sizes`).
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096")
_OPS = torch.ops.mkldnn  # used by torch's compiler for frozen weights
_ACTIVATIONS = {"swish": "swish", "silu": "swish"}


def can_prepack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether torch and the processor support the kernels for this data type."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if not hasattr(_OPS, "_reorder_linear_weight") or not hasattr(_OPS, "_linear_pointwise"):
        return False
    bf16 = dtype == torch.bfloat16 and bool(_OPS._is_mkldnn_bf16_supported())
    return bf16 or (dtype == torch.float32 and torch.cpu._is_avx512_supported())


def prepack(model: nn.Module) -> None:
    """Replace the projections of the decoder layers by prepacked ones, in place.

    The fused projection of the last layer is not replaced, because a packed classifier splits it.
    """
    blocks = [module for module in model.modules() if isinstance(module, OpenELMFeedForward)]
    with torch.no_grad():
        for layer in model.get_submodule("transformer.layers").children():
            assert isinstance(layer, OpenELMDecoderLayer)
            layer.attn.out_proj = PrepackedLinear(layer.attn.out_proj.weight)  # type: ignore[assignment]
            if layer.ffn is not blocks[-1]:
                layer.attn.qkv_proj = PrepackedLinear(layer.attn.qkv_proj.weight)  # type: ignore[assignment]
            layer.ffn = PrepackedFeedForward(layer.ffn)  # type: ignore[assignment]


def is_prepacked(model: nn.Module) -> bool:
    """Whether the model was changed by `prepack`."""
    layer = model.get_submodule("transformer.layers.0")
    return isinstance(layer, OpenELMDecoderLayer) and isinstance(layer.attn.out_proj, PrepackedLinear)


class PrepackedLinear(nn.Module):
    """A prepacked `nn.Linear` without bias."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.packed = _OPS._reorder_linear_weight(weight.detach().contiguous(), None)

    def forward(self, x: Tensor, activation: str = "none") -> Tensor:
        """(…, in) -> (…, out), with fused activation."""
        return _OPS._linear_pointwise(x, self.packed, None, activation, [], "")

    def times(self, x: Tensor, gate: Tensor) -> Tensor:
        """(…, in) -> (…, out), multiplied by `gate` (…, out)."""
        return _OPS._linear_pointwise(x, gate, self.packed, None, "mul")


class PrepackedFeedForward(nn.Module):
    """A prepacked `OpenELMFeedForward`."""

    def __init__(self, block: OpenELMFeedForward) -> None:
        super().__init__()
        self.act = block.act
        name = next((n for n, act in _ACTIVATIONS.items() if isinstance(block.act, type(ACT2FN[n]))), "")
        self.inside = _ACTIVATIONS.get(name, "none")
        weights = block.proj_1.weight.chunk(2) if block.gated else (block.proj_1.weight,)
        self.proj_1 = nn.ModuleList(PrepackedLinear(weight) for weight in weights)
        self.proj_2 = PrepackedLinear(block.proj_2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        hidden = self.proj_1[0](x, self.inside)
        if self.inside == "none":
            hidden = self.act(hidden)
        if len(self.proj_1) > 1:
            gated = self.proj_1[1]
            assert isinstance(gated, PrepackedLinear)
            hidden = gated.times(x, hidden)
        return self.proj_2(hidden)
