"""Weights laid out for a CPU's matrix kernels once, instead of at every call: for inference alone.

oneDNN, torch's matrix library on CPUs, reads weights in a blocked layout of its own. A plain `nn.Linear` is
rearranged into it at each call, which costs most where few tokens share the work: a single tweet. The gated
feed-forward block also becomes two products with the activation and the gate inside them. In float32 the
products are exact on AVX-512 too, where torch's default library uses half the machine.

The layers below hold no parameters: such a model can be run, not trained, saved or moved.
"""

import os

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from ..layers import OpenELMDecoderLayer, OpenELMFeedForward

# Kernels that oneDNN keeps, some 1 MB each with AMX. It reads this when it makes its first; by default it
# keeps 1,024, but the 270M shape has 79 for each size of a row, of which there are 16 (`packing.few_sizes`).
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096")
_OPS = torch.ops.mkldnn  # what torch's own compiler calls for frozen weights
_ACTIVATIONS = {"swish": "swish", "silu": "swish"}


def can_prepack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this torch and this processor have the kernels."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if not hasattr(_OPS, "_reorder_linear_weight") or not hasattr(_OPS, "_linear_pointwise"):
        return False
    bf16 = dtype == torch.bfloat16 and bool(_OPS._is_mkldnn_bf16_supported())
    return bf16 or (dtype == torch.float32 and torch.cpu._is_avx512_supported())


def prepack(model: nn.Module) -> None:
    """Replace the decoder layers' projections, in place.

    The last layer's fused projection stays as it is: a packed classifier takes it apart.
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
    """Whether `prepack` has been here."""
    layer = model.get_submodule("transformer.layers.0")
    assert isinstance(layer, OpenELMDecoderLayer)
    return isinstance(layer.attn.out_proj, PrepackedLinear)


class PrepackedLinear(nn.Module):
    """`nn.Linear` without bias."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.packed = _OPS._reorder_linear_weight(weight.detach().contiguous(), None)

    def forward(self, x: Tensor, activation: str = "none") -> Tensor:
        """(…, in) -> (…, out); the activation is applied inside the product."""
        return _OPS._linear_pointwise(x, self.packed, None, activation, [], "")

    def times(self, x: Tensor, gate: Tensor) -> Tensor:
        """The product, (…, in) -> (…, out), times `gate` (…, out)."""
        return _OPS._linear_pointwise(x, gate, self.packed, None, "mul")


class PrepackedFeedForward(nn.Module):
    """`OpenELMFeedForward`."""

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
