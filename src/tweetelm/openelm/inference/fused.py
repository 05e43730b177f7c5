"""Decoder layers for int8 inference on a CPU: oneDNN's matrix products, and fused kernels between them.

Weights have one scale per output channel, inputs of a product one scale per token. Channels of inputs with
large values are divided by a factor, and the weights multiplied by it, so that small values keep more digits
(SmoothQuant, arXiv 2211.10438). The factors are part of the norms and of the gated projection. Attention,
norms, the residual stream and the classifier compute in float32. The layers of this module have no
parameters: such a model cannot be trained, saved or moved, and takes packed rows only.

Shapes: N tokens of a packed row, Q query tokens, D model width, H query heads, G key-value heads, d head
width.
"""

import importlib.util
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from ..attention import varlen_attention_forward
from ..configuration_openelm import OpenELMConfig
from ..layers import OpenELMDecoderLayer, OpenELMRMSNorm

_OPS = torch.ops.onednn  # used by torch's compiler for quantized models
_ROWS_PER_THREAD = 64
_SHARE = 0.6  # of the difficulty that moves from inputs to weights: alpha of the paper
_SMOOTHED = ("attn.qkv_proj", "ffn.proj_1", "ffn.proj_2")
Peaks = dict[str, Tensor]
"""By product of a layer, the largest magnitude of each input channel."""
_SWISH = type(ACT2FN["swish"])


def why_not_int8(config: OpenELMConfig, device: torch.device) -> str:
    """Why a model cannot compute in int8 here; "" if it can."""
    if device.type != "cpu":
        return "int8 runs on CPUs only"
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed; type: pip install 'tweetelm[int8]'"
    if not torch.backends.mkldnn.is_available() or not hasattr(_OPS, "qlinear_prepack"):
        return "this build of torch has no int8 products of oneDNN"
    if not config.ffn_with_glu or type(ACT2FN[config.activation_fn_name]) is not _SWISH:
        return "int8 supports gated feed-forward blocks with swish only"
    return ""


def quantize(model: nn.Module, classify: Callable[[], object] | None = None) -> None:
    """Replace the decoder layers of a float32 model by int8 layers, in place.

    Args:
        model: a float32 classifier.
        classify: classifies typical tweets with the model, to measure the inputs of its products; None: the
            inputs are not smoothed.
    """
    layers = model.get_submodule("transformer.layers")
    assert isinstance(layers, nn.ModuleList)
    with torch.no_grad():
        for index, (layer, peaks) in enumerate(zip(layers, _measured(layers, classify), strict=True)):
            assert isinstance(layer, OpenELMDecoderLayer)
            layers[index] = Int8DecoderLayer(layer, peaks, splits_queries=index == len(layers) - 1)


def _measured(layers: nn.ModuleList, classify: Callable[[], object] | None) -> list[Peaks]:
    """The largest magnitudes by layer, while `classify` runs."""
    found: list[Peaks] = [{} for _ in layers]
    if classify is None:
        return found

    def watch(peaks: Peaks, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            here = inputs[0].abs().flatten(0, -2).amax(0)
            peaks[name] = torch.maximum(peaks[name], here) if name in peaks else here

        return hook

    hooks = [
        layer.get_submodule(name).register_forward_pre_hook(watch(peaks, name))
        for layer, peaks in zip(layers, found, strict=True)
        for name in _SMOOTHED
    ]
    classify()
    for each in hooks:
        each.remove()
    return found


def _factors(peaks: Peaks, name: str, weight: Tensor) -> Tensor:
    """By which each input channel (in,) of a product is divided; ones if it was not measured."""
    if name not in peaks:
        return torch.ones(weight.shape[1])
    of_weights = weight.abs().amax(0).clamp(min=1e-5)
    found = peaks[name].clamp(min=1e-5) ** _SHARE / of_weights ** (1 - _SHARE)
    return found / found.log().mean().exp()


def is_int8(model: nn.Module) -> bool:
    """Whether the model was changed by `quantize`."""
    return isinstance(model.get_submodule("transformer.layers.0"), Int8DecoderLayer)


class Int8Product:
    """The product of int8 rows and a weight (out, in). Results are to be multiplied by the scales of the
    rows."""

    def __init__(self, weight: Tensor) -> None:
        self.scales = weight.abs().amax(1).clamp(min=1e-20) / 127
        rounded = (weight / self.scales[:, None]).round().to(torch.int8)
        self.packed = _OPS.qlinear_prepack(rounded, None)
        self.zeros = torch.zeros(len(weight), dtype=torch.int32)
        bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # halves the bytes of the results
        self.out_dtype = torch.bfloat16 if bf16 else torch.float32

    def __call__(self, x: Tensor) -> Tensor:
        """(N, in) int8 -> (N, out) in bfloat16, or in float32 on a CPU without bfloat16."""
        return _OPS.qlinear_pointwise(
            x, 1.0, 0, self.packed, self.scales, self.zeros, None, 1.0, 0, self.out_dtype, "none", [], ""
        )


class Int8DecoderLayer(nn.Module):
    """An `OpenELMDecoderLayer` with int8 products.

    Args:
        layer: the float32 layer.
        peaks: of its inputs; empty if they were not measured.
        splits_queries: projects queries apart from keys and values, for the last layer (`keep_rows`).
    """

    def __init__(self, layer: OpenELMDecoderLayer, peaks: Peaks, *, splits_queries: bool) -> None:
        super().__init__()
        attn = layer.attn
        self.scaling = attn.scaling
        norms = [(attn.q_norm, attn.num_heads), (attn.k_norm, attn.num_kv_heads)]
        self.head_norms = [_head_norm(norm, heads, attn.head_dim) for norm, heads in norms]
        attn_factors, ffn_factors, gate_factors = (
            _factors(peaks, name, product.weight)
            for name, product in zip(
                _SMOOTHED, (attn.qkv_proj, layer.ffn.proj_1, layer.ffn.proj_2), strict=True
            )
        )
        weight = attn.qkv_proj.weight * attn_factors
        queries = attn.num_heads * attn.head_dim
        parts = weight.split([queries, len(weight) - queries]) if splits_queries else (weight,)
        self.projections = [Int8Product(part) for part in parts]
        self.out_proj = Int8Product(attn.out_proj.weight)
        gate, up = (layer.ffn.proj_1.weight * ffn_factors).chunk(2)
        self.proj_1 = Int8Product(torch.cat([gate, up / gate_factors[:, None]]))
        self.proj_2 = Int8Product(layer.ffn.proj_2.weight * gate_factors)
        smoothed = ((layer.attn_norm, attn_factors), (layer.ffn_norm, ffn_factors))
        self.norms = [(norm.weight.detach().float() / factors, norm.eps) for norm, factors in smoothed]

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        keep_rows: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """(1, N, D) float32 -> (1, N, D), changed in place; with `keep_rows` (B,), (1, B, D)."""
        if kwargs.get("cu_seq_lens_q") is None:
            raise ValueError("an int8 model takes packed rows only; classify with tweetelm's Predictor")
        x = hidden_states[0]
        attended, scales = self._attend(x, position_embeddings, keep_rows, kwargs)
        x = x if keep_rows is None else x[keep_rows]
        _add(x, self.out_proj(attended), scales)
        inside, scales = _norm(x, *self.norms[1])
        inside, scales = _gate(self.proj_1(inside), scales)
        _add(x, self.proj_2(inside), scales)
        return x[None]

    def _attend(
        self, x: Tensor, table: tuple[Tensor, Tensor], keep_rows: Tensor | None, kwargs: dict[str, Any]
    ) -> tuple[Tensor, Tensor]:
        """Attention of x (N, D): (Q, H * d) int8 and the scales (Q,)."""
        rows, scales = _norm(x, *self.norms[0])
        cos, sin = (part[0, :, 0].contiguous() for part in table)
        query_norm, key_norm = self.head_norms
        heads = [len(query_norm[0]), len(key_norm[0]), len(key_norm[0])]
        if len(self.projections) == 1:
            both = torch.cat((query_norm[0], key_norm[0])), query_norm[1]
            parts = _rotate(self.projections[0](rows), scales, both, cos, sin, sum(heads)).split(heads, 1)
        else:
            of_queries, of_keys = self.projections
            others = _rotate(of_keys(rows), scales, key_norm, cos, sin, 2 * heads[1])
            if keep_rows is not None:
                rows, scales, cos, sin = (part[keep_rows] for part in (rows, scales, cos, sin))
            query = _rotate(of_queries(rows), scales, query_norm, cos, sin, heads[0])
            parts = (query, *others.split(heads[1:], 1))
        q, k, v = (part.transpose(0, 1)[None] for part in parts)
        out, _ = varlen_attention_forward(self, q, k, v, None, scaling=self.scaling, **_lengths(kwargs))
        return _narrow(out[0].flatten(1))


def _lengths(kwargs: dict[str, Any]) -> dict[str, Any]:
    names = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")
    return {name: kwargs.get(name) for name in names}


def _head_norm(norm: OpenELMRMSNorm | None, heads: int, width: int) -> tuple[Tensor, float]:
    """The norm's weight for each head (heads, d), and its epsilon; -1 without a norm."""
    if norm is None:
        return torch.ones(heads, width), -1.0
    return norm.weight.detach().float().expand(heads, -1).contiguous(), norm.eps


def _norm(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """RMSNorm of x (N, D): (N, D) int8 and the scales (N,)."""
    out, scales = _int8(len(x), x.shape[1])
    _run("norm", len(x), x, weight, eps, out, scales)
    return out, scales


def _add(x: Tensor, y: Tensor, scales: Tensor) -> None:
    """x (N, D) += y (N, D), whose rows are multiplied by `scales` (N,)."""
    _run("add", len(x), x, y, scales)


def _gate(hidden: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """SiLU of the first half of hidden (N, 2F), times the second: (N, F) int8 and the scales (N,)."""
    out, out_scales = _int8(len(hidden), hidden.shape[1] // 2)
    _run("gate", len(hidden), hidden, scales, out, out_scales)
    return out, out_scales


def _rotate(
    y: Tensor, scales: Tensor, norm: tuple[Tensor, float], cos: Tensor, sin: Tensor, heads: int
) -> Tensor:
    """(N, heads * d) -> (N, heads, d) float32; the first len(norm[0]) heads normalized and rotated."""
    weight, eps = norm
    out = torch.empty(len(y), heads, weight.shape[1])
    _run("rotate", len(y), y.view(out.shape), scales, weight, eps, cos, sin, out)
    return out


def _narrow(x: Tensor) -> tuple[Tensor, Tensor]:
    """x (N, D) as int8 with scales (N,)."""
    out, scales = _int8(len(x), x.shape[1])
    _run("narrow", len(x), x.contiguous(), out, scales)
    return out, scales


def _int8(rows: int, width: int) -> tuple[Tensor, Tensor]:
    return torch.empty(rows, width, dtype=torch.int8), torch.empty(rows)


@cache
def _kernel(name: str) -> Callable[..., None]:
    from . import kernels  # imports numba, which is optional

    found: Callable[..., None] = getattr(kernels, name)
    return found


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="int8")


def _run(name: str, rows: int, *arguments: Tensor | float) -> None:
    """Run a kernel on all rows, with as many threads as torch uses."""
    import numpy as np

    kernel = _kernel(name)
    given = [_array(value) if isinstance(value, Tensor) else np.float32(value) for value in arguments]
    parts = min(torch.get_num_threads(), rows // _ROWS_PER_THREAD)
    if parts < 2:
        kernel(0, rows, *given)
        return
    bounds = [rows * part // parts for part in range(parts + 1)]
    for done in [_pool().submit(kernel, *bound, *given) for bound in pairwise(bounds)]:
        done.result()


def _array(x: Tensor) -> Any:
    """The tensor's memory as an array; bfloat16 as uint16."""
    return (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy()
