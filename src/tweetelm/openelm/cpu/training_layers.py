"""Decoder layers for training on a CPU: torch's matrix products, and fused kernels with gradients between.

torch runs about thirty operations in a layer, each of which reads and writes all values; here are eight
kernels and five products. Less is kept for the backward pass, which computes queries, keys and the gated
product again. The parameters are those of `OpenELMDecoderLayer`.

Shapes: N tokens, Q query tokens, D model width, H query heads, G key-value heads, d head width, F
feed-forward width.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..attention import VARLEN
from ..configuration_openelm import OpenELMConfig
from ..layers import OpenELMDecoderLayer
from .fused import head_weights
from .launch import parts, run, run_parts, why_no_kernels


def fuse_for_training(model: nn.Module) -> bool:
    """Let the decoder layers of a classifier train by fused kernels on prefix trees, in place.

    The parameters do not change. Other inputs than trees are computed as before.

    Returns:
        Whether the layers can: on a CPU, in float32, with gated feed-forward blocks and without adapters.
    """
    layers, config = model.get_submodule("transformer.layers"), model.config
    assert isinstance(layers, nn.ModuleList)
    assert isinstance(config, OpenELMConfig)
    if why_no_kernels(config) or config._attn_implementation != VARLEN:
        return False
    if any(type(module) is not nn.Linear for one in layers for module in _linears(one)):
        return False
    if any(p.device.type != "cpu" or p.dtype != torch.float32 for p in layers.parameters()):
        return False
    for one in layers:
        one.__class__ = TrainedDecoderLayer
    return True


def is_fused_for_training(model: nn.Module) -> bool:
    """Whether `fuse_for_training` changed the model."""
    layers = model.get_submodule("transformer.layers")
    assert isinstance(layers, nn.ModuleList)
    return isinstance(layers[0], TrainedDecoderLayer)


def _linears(layer: nn.Module) -> list[nn.Module]:
    names = ("attn.qkv_proj", "attn.out_proj", "ffn.proj_1", "ffn.proj_2")
    return [layer.get_submodule(name) for name in names]


class TrainedDecoderLayer(OpenELMDecoderLayer):
    """An `OpenELMDecoderLayer` that computes prefix trees by fused kernels."""

    def forward(self, hidden_states: Tensor, keep_rows: Tensor | None = None, **kwargs: Any) -> Tensor:
        """(1, N, D) -> (1, N, D) float32; with `keep_rows` (Q,), (1, Q, D).

        `kwargs` must have `parents`, `position_ids` and `position_embeddings`; without `parents`, see
        `OpenELMDecoderLayer`.
        """
        if kwargs.get("parents") is None:
            return super().forward(hidden_states, keep_rows=keep_rows, **kwargs)
        if self.attn_norm.weight.dtype != torch.float32:
            raise ValueError(f"trees need float32 weights; this layer has {self.attn_norm.weight.dtype}")
        attn, ffn = self.attn, self.ffn
        cos, sin = (part[0, :, 0].contiguous() for part in kwargs["position_embeddings"])
        norms = (attn.q_norm, attn.k_norm)
        layer = _LayerInputs(
            dtype=torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32,
            heads=attn.num_heads,
            groups=attn.num_kv_heads,
            scaling=attn.scaling,
            eps=self.attn_norm.eps,
            head_eps=-1.0 if attn.q_norm is None else attn.q_norm.eps,
            positions=kwargs["position_ids"][0],
            parents=kwargs["parents"],
            cos=cos,
            sin=sin,
            kept=keep_rows,
        )
        head_weights = [None if norm is None else norm.weight for norm in norms]
        linears = (attn.qkv_proj, attn.out_proj, ffn.proj_1, ffn.proj_2)
        weights = (self.attn_norm.weight, self.ffn_norm.weight, *head_weights, *(li.weight for li in linears))
        out: Tensor = _Layer.apply(hidden_states[0].float(), layer, *weights)
        return out[None]


@dataclass(frozen=True, kw_only=True)
class _LayerInputs:
    """What a layer needs besides states and weights.

    Attributes:
        dtype: of the matrix products.
        heads: H.
        groups: G.
        scaling: of attention.
        eps: of the norms.
        head_eps: of the norms of queries and keys; -1 without.
        positions: (N,), of each token in its tweet.
        parents: (N,), the row of the token before each one.
        cos: (N, d).
        sin: (N, d).
        kept: (Q,), the rows that are queries; None: all.
    """

    dtype: torch.dtype
    heads: int
    groups: int
    scaling: float
    eps: float
    head_eps: float
    positions: Tensor
    parents: Tensor
    cos: Tensor
    sin: Tensor
    kept: Tensor | None

    @property
    def queries(self) -> Tensor:
        """(Q,) the rows that are queries."""
        return torch.arange(len(self.parents)) if self.kept is None else self.kept

    def gather(self, x: Tensor) -> Tensor:
        """The rows of `x` (N, …) that are queries."""
        return x if self.kept is None else x[self.kept]

    def scatter(self, x: Tensor) -> Tensor:
        """Gradients (Q, D) of the rows that are queries, as gradients of all rows (N, D)."""
        return (
            x if self.kept is None else x.new_zeros(len(self.parents), x.shape[1]).index_add_(0, self.kept, x)
        )


class _Layer(torch.autograd.Function):
    """A decoder layer as one operation."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, layer: _LayerInputs, attn_norm: Tensor, ffn_norm: Tensor, *rest: Tensor | None
    ) -> Tensor:
        """x (N, D) float32 -> (Q, D) float32."""
        q_norm, k_norm, *linears = rest
        qkv, out_proj, proj_1, proj_2 = (weight.to(layer.dtype) for weight in linears if weight is not None)
        inside = _norm(x, attn_norm, layer)
        query_weight, other_weight = _split(qkv, layer)
        queries = layer.gather(inside) @ query_weight.t()
        others = inside @ other_weight.t()
        attended = _attend(*_rotated(queries, others, q_norm, k_norm, layer), layer)
        between = x.clone() if layer.kept is None else x[layer.kept]
        run("add", len(between), between, attended @ out_proj.t(), _ones(between))
        gate_inside = _norm(between, ffn_norm, layer)
        hidden = gate_inside @ proj_1.t()
        out = between.clone()
        run("add", len(out), out, _gate(hidden) @ proj_2.t(), _ones(out))
        ctx.layer = layer
        states = (x, inside, queries, others, attended, between, gate_inside, hidden)
        norms = (attn_norm, ffn_norm, q_norm, k_norm)
        ctx.save_for_backward(*states, *norms, qkv, out_proj, proj_1, proj_2)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        """(Q, D), the gradient of the result -> the gradients of the arguments of `forward`."""
        layer: _LayerInputs = ctx.layer
        x, inside, queries, others, attended, between, gate_inside, hidden, *weights = ctx.saved_tensors
        attn_norm, ffn_norm, q_norm, k_norm, qkv, out_proj, proj_1, proj_2 = weights
        given = given.contiguous()
        narrow = given.to(layer.dtype)
        gated, grad_hidden = hidden.new_empty(len(hidden), hidden.shape[1] // 2), torch.empty_like(hidden)
        run_parts("gate_gradient", len(hidden), hidden, narrow @ proj_2, gated, grad_hidden)
        grad_proj_2, grad_proj_1 = narrow.t() @ gated, grad_hidden.t() @ gate_inside
        grad_between, grad_ffn_norm = _norm_gradient(between, ffn_norm, grad_hidden @ proj_1, given, layer)
        narrow = grad_between.to(layer.dtype)
        grad_out_proj = narrow.t() @ attended
        grad_queries, grad_others, *grad_heads = _attention_gradient(
            queries, others, q_norm, k_norm, narrow @ out_proj, layer
        )
        query_weight, other_weight = _split(qkv, layer)
        grad_qkv = torch.cat((grad_queries.t() @ layer.gather(inside), grad_others.t() @ inside))
        grad_inside = grad_others @ other_weight + layer.scatter(grad_queries @ query_weight)
        grad_x, grad_attn_norm = _norm_gradient(x, attn_norm, grad_inside, layer.scatter(grad_between), layer)
        grad_linears = [grad.float() for grad in (grad_qkv, grad_out_proj, grad_proj_1, grad_proj_2)]
        return grad_x, None, grad_attn_norm, grad_ffn_norm, *grad_heads, *grad_linears


def _split(qkv: Tensor, layer: _LayerInputs) -> tuple[Tensor, Tensor]:
    """The part of the projection for queries, and that for keys and values."""
    share = layer.heads * len(qkv) // (layer.heads + 2 * layer.groups)
    return qkv[:share], qkv[share:]


def _ones(rows: Tensor) -> Tensor:
    """The scales of rows that have none."""
    return torch.ones(len(rows))


def _norm(x: Tensor, weight: Tensor, layer: _LayerInputs) -> Tensor:
    out = torch.empty(x.shape, dtype=layer.dtype)
    run("norm", len(x), x, weight.detach(), layer.eps, out, _ones(x))
    return out


def _norm_gradient(
    x: Tensor, weight: Tensor, given: Tensor, base: Tensor, layer: _LayerInputs
) -> tuple[Tensor, Tensor]:
    """`base` plus the gradient of x (N, D), and the gradient of the weight (D,)."""
    out, sums = torch.empty_like(x), torch.zeros(parts(len(x)), x.shape[1])
    run_parts("norm_gradient", len(x), x, weight.detach(), layer.eps, given, base, out, sums)
    return out, sums.sum(0)


def _gate(hidden: Tensor) -> Tensor:
    out = hidden.new_empty(len(hidden), hidden.shape[1] // 2)
    run("gate", len(hidden), hidden, _ones(hidden), out, _ones(hidden))
    return out


def _rotated(
    queries: Tensor, others: Tensor, q_norm: Tensor | None, k_norm: Tensor | None, layer: _LayerInputs
) -> tuple[Tensor, Tensor]:
    """Queries (Q, H, d), and keys and values (N, 2G, d), float32, normalized and rotated."""
    found = []
    tables = (layer.gather(layer.cos), layer.gather(layer.sin)), (layer.cos, layer.sin)
    for rows, norm, heads, table in zip(
        (queries, others), (q_norm, k_norm), (layer.heads, layer.groups), tables, strict=True
    ):
        given = rows.unflatten(1, (-1, layer.cos.shape[1]))
        out = torch.empty(given.shape)
        weights = head_weights(norm, heads, layer.cos.shape[1])
        run("rotate", len(rows), given, _ones(rows), weights, layer.head_eps, *table, out)
        found.append(out)
    return found[0], found[1]


def _attend(queries: Tensor, others: Tensor, layer: _LayerInputs) -> Tensor:
    """(Q, H * d)."""
    rows, out = layer.queries, torch.empty(len(queries), queries[0].numel(), dtype=layer.dtype)
    positions = layer.gather(layer.positions)
    settings = (layer.heads, layer.groups, rows, layer.parents, positions, layer.scaling)
    run("attend", len(queries), queries, others, *settings, out, _ones(queries))
    return out


def _attention_gradient(
    raw_queries: Tensor,
    raw_others: Tensor,
    q_norm: Tensor | None,
    k_norm: Tensor | None,
    given: Tensor,
    layer: _LayerInputs,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """The gradients of queries (Q, H * d), of keys and values (N, 2G * d), and of both norms (d,)."""
    queries, others = _rotated(raw_queries, raw_others, q_norm, k_norm, layer)
    grad_queries, sums = torch.empty_like(queries), torch.zeros(parts(len(queries)), *others.shape)
    rows = (layer.queries, layer.parents, layer.gather(layer.positions))
    run_parts(
        "attend_gradient", len(queries), queries, others, *rows, layer.scaling, given, grad_queries, sums
    )
    tables = (layer.gather(layer.cos), layer.gather(layer.sin)), (layer.cos, layer.sin)
    found, grad_norms = [], []
    for raw, norm, heads, table, gradient in zip(
        (raw_queries, raw_others),
        (q_norm, k_norm),
        (layer.heads, layer.groups),
        tables,
        (grad_queries, sums.sum(0)),
        strict=True,
    ):
        out, weights = torch.empty_like(raw), head_weights(norm, heads, layer.cos.shape[1])
        grad_weights = torch.zeros(parts(len(raw)), *weights.shape)
        given_heads, out_heads = (each.unflatten(1, (-1, weights.shape[1])) for each in (raw, out))
        run_parts(
            "rotate_gradient",
            len(raw),
            given_heads,
            weights,
            layer.head_eps,
            *table,
            gradient,
            out_heads,
            grad_weights,
        )
        found.append(out)
        grad_norms.append(None if norm is None else grad_weights.sum((0, 1)))
    return found[0], found[1], grad_norms[0], grad_norms[1]
