"""The layers of an OpenELM decoder: norm, rotary embedding, attention, feed-forward, decoder layer.

Shapes: B rows (tweets), T tokens of a row, D model width, H query heads, G key-value heads, d head width, N
tokens of a packed row (B concatenated tweets).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .attention import eager_attention_forward
from .configuration_openelm import OpenELMConfig


def rotary_table(position_ids: Tensor, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """cos and signed sin of the rotary angles for `rotate`, (B, T, 1, d) each, in float32.

    Computed in each pass, because a buffer would not survive loading on the meta device.
    """
    exponents = torch.arange(0, head_dim, 2, device=position_ids.device, dtype=torch.float32) / head_dim
    angles = position_ids[..., None].float() * torch.pow(float(base), -exponents)
    cos, sin = angles.cos()[..., None, :], angles.sin()[..., None, :]
    return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)


def rotate(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary embedding in the half-split form. `x`: (B, T, heads, d), in float32."""
    cos, sin = table
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin)


class OpenELMRMSNorm(nn.Module):
    """Root-mean-square norm: statistics in float32, cast back before multiplication by the weight."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.eps) * self.weight


def rms_norm(x: Tensor, eps: float) -> Tensor:
    """`x` (…, width) divided by its root mean square."""
    if x.is_cuda:  # one kernel instead of seven; same rounding as below
        return F.rms_norm(x, x.shape[-1:], eps=eps).type_as(x)
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).type_as(x)


class OpenELMAttention(nn.Module):
    """Grouped-query attention: fused projection [queries | keys | values], normalized queries and keys."""

    def __init__(self, config: OpenELMConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = config.head_dim
        self.num_heads = config.num_query_heads[layer_idx]  # type: ignore[index]  # a list after __post_init__
        self.num_kv_heads = config.num_kv_heads[layer_idx]  # type: ignore[index]
        self.num_key_value_groups = self.num_heads // self.num_kv_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = True
        self.qkv_proj = nn.Linear(
            config.model_dim, (self.num_heads + 2 * self.num_kv_heads) * self.head_dim, bias=False
        )
        normalize = config.normalize_qk_projections
        self.q_norm = OpenELMRMSNorm(self.head_dim, config.rms_norm_eps) if normalize else None
        self.k_norm = OpenELMRMSNorm(self.head_dim, config.rms_norm_eps) if normalize else None
        self.out_proj = nn.Linear(self.num_heads * self.head_dim, config.model_dim, bias=False)

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        keep_rows: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """(B, T, D) -> (B, T, D); with `keep_rows` (B,), (1, N, D) -> (1, B, D) for those rows only."""
        query, key, value = self._project(hidden_states, position_embeddings, keep_rows)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        out, weights = attend(
            self, query, key, value, attention_mask, dropout=0.0, scaling=self.scaling, **kwargs
        )
        return self.out_proj(out.flatten(2)), weights

    def _project(
        self, x: Tensor, table: tuple[Tensor, Tensor], keep_rows: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, d), keys and values (B, G, T, d)."""
        heads = [self.num_heads, self.num_kv_heads, self.num_kv_heads]
        query_norm, key_norm = self._norm_weights()
        if keep_rows is None:
            both, value = self._heads(self.qkv_proj(x)).split([heads[0] + heads[1], heads[2]], dim=2)
            weight = None if query_norm is None or key_norm is None else torch.cat((query_norm, key_norm))
            query, key = self._norm_and_rotate(both, weight, table).split(heads[:2], dim=2)
        else:
            query_weight, rest = self.qkv_proj.weight.split(
                [heads[0] * self.head_dim, 2 * heads[1] * self.head_dim]
            )
            key, value = self._heads(F.linear(x, rest)).split(heads[1:], dim=2)
            query = self._heads(F.linear(x[:, keep_rows], query_weight))
            query_table = (table[0][:, keep_rows], table[1][:, keep_rows])
            query, key = (
                self._norm_and_rotate(query, query_norm, query_table),
                self._norm_and_rotate(key, key_norm, table),
            )
        return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)

    def _heads(self, x: Tensor) -> Tensor:
        """(B, T, heads * d) -> (B, T, heads, d)."""
        return x.unflatten(-1, (-1, self.head_dim))

    def _norm_weights(self) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """The norm weights with one row per head: (H, d) and (G, d); None without norms."""
        if self.q_norm is None or self.k_norm is None:
            return None, None
        return self.q_norm.weight.expand(self.num_heads, -1), self.k_norm.weight.expand(self.num_kv_heads, -1)

    def _norm_and_rotate(self, x: Tensor, weight: Tensor | None, table: tuple[Tensor, Tensor]) -> Tensor:
        """Normalize each head of `x` (B, T, heads, d) and apply the rotary embedding, in float32."""
        wide = x.float()
        if weight is not None:
            wide = rms_norm(wide, self.config.rms_norm_eps) * weight.float()
        return rotate(wide, table).type_as(x)


class OpenELMFeedForward(nn.Module):
    """Feed-forward block, gated (GLU) or plain."""

    def __init__(self, config: OpenELMConfig, layer_idx: int) -> None:
        super().__init__()
        width = config.ffn_dims[layer_idx]
        self.gated = config.ffn_with_glu
        self.proj_1 = nn.Linear(config.model_dim, 2 * width if self.gated else width, bias=False)
        self.proj_2 = nn.Linear(width, config.model_dim, bias=False)
        self.act = ACT2FN[config.activation_fn_name]

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        if not self.gated:
            return self.proj_2(self.act(self.proj_1(x)))
        gate, up = self.proj_1(x).chunk(2, dim=-1)
        return self.proj_2(self.act(gate) * up)


class OpenELMDecoderLayer(GradientCheckpointingLayer):
    """Pre-norm attention and feed-forward, each added to the residual stream."""

    def __init__(self, config: OpenELMConfig, layer_idx: int) -> None:
        super().__init__()
        self.attn = OpenELMAttention(config, layer_idx)
        self.ffn = OpenELMFeedForward(config, layer_idx)
        self.attn_norm = OpenELMRMSNorm(config.model_dim, config.rms_norm_eps)
        self.ffn_norm = OpenELMRMSNorm(config.model_dim, config.rms_norm_eps)

    def forward(self, hidden_states: Tensor, keep_rows: Tensor | None = None, **kwargs: Any) -> Tensor:
        """(B, T, D) -> (B, T, D); with `keep_rows`, see `OpenELMAttention.forward`."""
        if kwargs.get("parents") is not None:
            raise ValueError("prefix trees need fused layers; classify with tweetelm's Predictor")
        attended, _ = self.attn(self.attn_norm(hidden_states), keep_rows=keep_rows, **kwargs)
        residual = hidden_states if keep_rows is None else hidden_states[:, keep_rows]
        hidden_states = residual + attended
        return hidden_states + self.ffn(self.ffn_norm(hidden_states))
