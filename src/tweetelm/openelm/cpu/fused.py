"""Decoder layers for inference on a CPU: oneDNN's matrix products, and fused kernels between them.

The products are in int8, bfloat16 or float32. Attention, norms, the residual stream and the classifier
compute in float32. The layers of this module have no parameters: such a model cannot be trained, saved or
moved, and takes packed rows and prefix trees only.

In int8, weights have one scale per output channel, rows of a product one scale per token. Channels of rows
with large values are divided by a factor, and the weights multiplied by it, so that small values keep more
digits (SmoothQuant, arXiv 2211.10438). The factors are part of the norms and of the gated projection. In a
model of many layers, the first ones keep another precision.

Shapes: N tokens of a packed row, Q query tokens, D model width, H query heads, G key-value heads, d head
width.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..configuration_openelm import OpenELMConfig
from ..layers import OpenELMDecoderLayer, OpenELMRMSNorm
from ..packing import row_parents
from .launch import run, why_no_kernels
from .products import ROWS, Precision, most_exact, product, why_no_products

_SHARE = 0.6  # of the difficulty that moves from inputs to weights: alpha of the paper
_ONE_EXACT_IN = 15  # layers; so many of the first ones do not compute in int8, because their errors grow
_SMOOTHED = ("attn.qkv_proj", "ffn.proj_1", "ffn.proj_2")
Peaks = dict[str, Tensor]
"""By product of a layer, the largest magnitude of each input channel."""


def why_not_fused(config: OpenELMConfig, device: torch.device, precision: Precision) -> str:
    """Why a model cannot have the layers of this module here, in this precision; "" if it can."""
    return why_no_products(device, precision) or why_no_kernels(config)


def fuse(model: nn.Module, precision: Precision, classify: Callable[[], object] | None = None) -> None:
    """Replace the decoder layers of a float32 model by fused layers, in place.

    Args:
        model: a float32 classifier.
        precision: of the matrix products.
        classify: for int8, classifies typical tweets with the model, to measure the rows of its products;
            None: the rows are not smoothed.
    """
    layers = model.get_submodule("transformer.layers")
    assert isinstance(layers, nn.ModuleList)
    with torch.no_grad():
        for index, (layer, peaks) in enumerate(zip(layers, _measured(layers, classify), strict=True)):
            assert isinstance(layer, OpenELMDecoderLayer)
            is_last = index == len(layers) - 1
            own = precision
            if precision == "int8" and index < len(layers) // _ONE_EXACT_IN:
                own, peaks = most_exact(), {}
            layers[index] = FusedDecoderLayer(layer, own, peaks, splits_queries=is_last)


def fused_precision(model: nn.Module) -> Precision | None:
    """The precision of the products of a model that was changed by `fuse`; None if it was not."""
    layers = model.get_submodule("transformer.layers")
    assert isinstance(layers, nn.ModuleList)
    layer = layers[-1]  # the first ones may have another
    return layer.precision if isinstance(layer, FusedDecoderLayer) else None


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


class FusedDecoderLayer(nn.Module):
    """An `OpenELMDecoderLayer` with fused kernels.

    Args:
        layer: the float32 layer.
        precision: of the matrix products.
        peaks: of their rows; empty if they were not measured.
        splits_queries: projects queries apart from keys and values, for the last layer (`keep_rows`).
    """

    def __init__(
        self, layer: OpenELMDecoderLayer, precision: Precision, peaks: Peaks, *, splits_queries: bool
    ) -> None:
        super().__init__()
        self.precision = precision
        attn = layer.attn
        self.scaling = attn.scaling
        norms = [(attn.q_norm, attn.num_heads), (attn.k_norm, attn.num_kv_heads)]
        self.head_norms = [_head_norm(norm, heads, attn.head_dim) for norm, heads in norms]
        attn_factors, ffn_factors, gate_factors = (
            _factors(peaks, name, linear.weight)
            for name, linear in zip(
                _SMOOTHED, (attn.qkv_proj, layer.ffn.proj_1, layer.ffn.proj_2), strict=True
            )
        )
        weight = attn.qkv_proj.weight * attn_factors
        queries = attn.num_heads * attn.head_dim
        parts = weight.split([queries, len(weight) - queries]) if splits_queries else (weight,)
        self.projections = [product(part, precision) for part in parts]
        self.out_proj = product(attn.out_proj.weight, precision)
        gate, up = (layer.ffn.proj_1.weight * ffn_factors).chunk(2)
        self.proj_1 = product(torch.cat([gate, up / gate_factors[:, None]]), precision)
        self.proj_2 = product(layer.ffn.proj_2.weight * gate_factors, precision)
        smoothed = ((layer.attn_norm, attn_factors), (layer.ffn_norm, ffn_factors))
        self.norms = [(norm.weight.detach().float() / factors, norm.eps) for norm, factors in smoothed]

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        keep_rows: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """(1, N, D) -> (1, N, D) float32, in place in a float32 input; with `keep_rows` (B,), (1, B, D).

        `kwargs` must have `parents` (see `PrefixTree`), or `cu_seq_lens_q` of a packed row.
        """
        parents = kwargs.get("parents")
        if parents is None:
            if kwargs.get("cu_seq_lens_q") is None:
                raise ValueError("this model takes packed rows only; classify with tweetelm's Predictor")
            parents = row_parents(hidden_states.shape[1])
        x, positions = hidden_states[0].float(), kwargs["position_ids"][0]
        attended, scales = self._attend(x, position_embeddings, parents, positions, keep_rows)
        x = x if keep_rows is None else x[keep_rows]
        run("add", len(x), x, self.out_proj(attended), scales)
        inside, scales = self._norm(x, *self.norms[1])
        inside, scales = self._gate(self.proj_1(inside), scales)
        run("add", len(x), x, self.proj_2(inside), scales)
        return x[None]

    def _attend(
        self,
        x: Tensor,
        table: tuple[Tensor, Tensor],
        parents: Tensor,
        positions: Tensor,
        keep_rows: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Attention of x (N, D): rows (Q, H * d) and the scales (Q,)."""
        rows, scales = self._norm(x, *self.norms[0])
        cos, sin = (part[0, :, 0].contiguous() for part in table)
        query_norm, key_norm = self.head_norms
        heads, groups = len(query_norm[0]), len(key_norm[0])
        kept = torch.arange(len(x)) if keep_rows is None else keep_rows
        if len(self.projections) == 1:
            both = torch.cat((query_norm[0], key_norm[0])), query_norm[1]
            queries = others = _rotate(self.projections[0](rows), scales, both, cos, sin, heads + 2 * groups)
        else:
            of_queries, of_others = self.projections
            others = _rotate(of_others(rows), scales, key_norm, cos, sin, 2 * groups)
            rows, scales, cos, sin = (part[kept] for part in (rows, scales, cos, sin))
            queries = _rotate(of_queries(rows), scales, query_norm, cos, sin, heads)
        out, scales = self._rows(len(queries), heads * queries.shape[2])
        run(
            "attend",
            len(queries),
            queries,
            others,
            heads,
            groups,
            kept,
            parents,
            positions[kept],
            self.scaling,
            out,
            scales,
        )
        return out, scales

    def _norm(self, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """RMSNorm of x (N, D): rows (N, D) and the scales (N,)."""
        out, scales = self._rows(*x.shape)
        run("norm", len(x), x, weight, eps, out, scales)
        return out, scales

    def _gate(self, hidden: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
        """SiLU of the first half of hidden (N, 2F), times the second: rows (N, F) and the scales (N,)."""
        out, out_scales = self._rows(len(hidden), hidden.shape[1] // 2)
        run("gate", len(hidden), hidden, scales, out, out_scales)
        return out, out_scales

    def _rows(self, count: int, width: int) -> tuple[Tensor, Tensor]:
        """Space for the rows of a product and their scales."""
        return torch.empty(count, width, dtype=ROWS[self.precision]), torch.empty(count)


def _head_norm(norm: OpenELMRMSNorm | None, heads: int, width: int) -> tuple[Tensor, float]:
    """The norm's weight for each head (heads, d), and its epsilon; -1 without a norm."""
    if norm is None:
        return head_weights(None, heads, width), -1.0
    return head_weights(norm.weight.float(), heads, width), norm.eps


def head_weights(weight: Tensor | None, heads: int, width: int) -> Tensor:
    """The weight (d,) of a norm for each head, (heads, d); ones without a norm."""
    return torch.ones(heads, width) if weight is None else weight.detach().expand(heads, -1).contiguous()


def _rotate(
    y: Tensor, scales: Tensor, norm: tuple[Tensor, float], cos: Tensor, sin: Tensor, heads: int
) -> Tensor:
    """(N, heads * d) -> (N, heads, d) float32; the first len(norm[0]) heads normalized and rotated."""
    weight, eps = norm
    out = torch.empty(len(y), heads, weight.shape[1])
    run("rotate", len(y), y.view(out.shape), scales, weight, eps, cos, sin, out)
    return out
