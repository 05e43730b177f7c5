"""Attention over packed tweets, registered with transformers as the implementation `"varlen"`.

Shapes: B tweets, N tokens of all tweets, H query heads, G key-value heads, d head width, Q query tokens. Q is
N, or B if only the last token of each tweet is a query.
"""

import inspect
from functools import cache
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

VARLEN = "varlen"


def varlen_attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    cu_seq_lens_q: Tensor | None = None,
    cu_seq_lens_k: Tensor | None = None,
    max_length_q: int | None = None,
    max_length_k: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each tweet of a packed row; plain SDPA if the input is not packed.

    Args:
        module: the attention layer.
        query: (1, H, Q, d).
        key: (1, G, N, d).
        value: (1, G, N, d).
        attention_mask: used only if the input is not packed.
        scaling: softmax scale; d ** -0.5 if None.
        dropout: used only if the input is not packed.
        cu_seq_lens_q: (B + 1,) offset of each tweet in the queries, and Q.
        cu_seq_lens_k: (B + 1,) offset of each tweet in the keys, and N.
        max_length_q: the most queries of a tweet.
        max_length_k: the most tokens of a tweet.
        **kwargs: passed to SDPA.

    Returns:
        (1, Q, H, d) and None, as in transformers' attention interface.
    """
    if cu_seq_lens_q is None or cu_seq_lens_k is None:
        out, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return out, None
    half = _flash_dtype(query)
    if half is not None:
        longest = (
            max_length_q or int(cu_seq_lens_q.diff().max()),
            max_length_k or int(cu_seq_lens_k.diff().max()),
        )
        out = _flash(query, key, value, half, (cu_seq_lens_q, cu_seq_lens_k), longest, scaling)
        return out, None
    return _by_length(query, key, value, cu_seq_lens_q.tolist(), cu_seq_lens_k.tolist(), scaling), None


def eager_attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Eager attention. Returns (B, T, H, d) and the weights (B, H, T, T); other shapes as in SDPA."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask[..., : key.shape[-2]]
    weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = F.dropout(weights, p=dropout, training=module.training)
    return (weights @ value).transpose(1, 2).contiguous(), weights


def _by_length(
    query: Tensor, key: Tensor, value: Tensor, cu_q: list[int], cu_k: list[int], scale: float | None
) -> Tensor:
    """Attention with one SDPA call per run of adjacent tweets of equal length. Returns (1, Q, H, d).

    The queries of a tweet are all its tokens, or only its last token, which attends to all of them. Computes
    in float32: at tweet length, the CPU kernel is as fast as in bfloat16, and its backward pass is 3 times
    as fast.
    """
    runs = _runs(cu_q, cu_k)
    dtype, grouped = query.dtype, query.shape[1] > key.shape[1]
    query, key, value = query.float(), key.float(), value.float()
    query_sizes, key_sizes = [count * q for count, q, _ in runs], [count * k for count, _, k in runs]
    pieces = []
    with torch.autocast(query.device.type, enabled=False):
        # `split` instead of slices: the gradient of each slice would be a tensor of full size.
        for (_, q, k), *parts in zip(
            runs, query.split(query_sizes, 2), key.split(key_sizes, 2), value.split(key_sizes, 2), strict=True
        ):
            lengths = (q, k, k)
            rows, keys, values = (
                x[0].unflatten(1, (-1, n)).transpose(0, 1) for x, n in zip(parts, lengths, strict=True)
            )
            out = F.scaled_dot_product_attention(
                rows, keys, values, is_causal=q > 1, scale=scale, enable_gqa=grouped
            )
            pieces.append(out.transpose(1, 2).flatten(0, 1))
    return torch.cat(pieces)[None].to(dtype)


def _runs(cu_q: list[int], cu_k: list[int]) -> list[tuple[int, int, int]]:
    """Runs of adjacent tweets of equal length: (tweets, queries per tweet, tokens per tweet)."""
    runs: list[tuple[int, int, int]] = []
    for q, k in zip(_lengths(cu_q), _lengths(cu_k), strict=True):
        if q not in (1, k):
            raise ValueError(f"a tweet of {k} tokens has {q} queries; expected {k}, or 1 for its last token")
        if runs and runs[-1][1:] == (q, k):
            runs[-1] = (runs[-1][0] + 1, q, k)
        else:
            runs.append((1, q, k))
    return runs


def _lengths(starts: list[int]) -> list[int]:
    return [end - start for start, end in pairwise(starts)]


def _flash_dtype(query: Tensor) -> torch.dtype | None:
    """The half precision for torch's flash kernel; None if it is unavailable or the input is float32."""
    if not query.is_cuda or query.shape[-1] % 8 or query.shape[-1] > 256 or not has_flash(query.device):
        return None
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else query.dtype
    return dtype if dtype in (torch.float16, torch.bfloat16) else None


@cache
def has_flash(device: torch.device) -> bool:
    """Whether torch's flash kernel runs on this GPU."""
    return torch.cuda.get_device_capability(device) >= (8, 0)


def _flash(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    half: torch.dtype,
    starts: tuple[Tensor, Tensor],
    longest: tuple[int, int],
    scale: float | None,
) -> Tensor:
    """torch's variable-length flash kernel, in precision `half`. Returns (1, Q, H, d)."""
    from torch.nn.attention.varlen import varlen_attn

    groups = query.shape[1] // key.shape[1]
    q, k, v = (x[0].transpose(0, 1).to(half) for x in (query, key, value))
    options: dict[str, Any] = {"enable_gqa": True} if _flash_groups_heads() else {}
    if groups > 1 and not options:
        k, v = (x.repeat_interleave(groups, dim=1) for x in (k, v))
    # A single query is the last token of its tweet and attends to all tokens, so it needs no causal mask.
    window = (-1, 0) if longest[0] > 1 else (-1, -1)
    out = varlen_attn(q, k, v, *starts, *longest, scale=scale, window_size=window, **options)
    assert isinstance(out, Tensor)  # a tuple only with auxiliary outputs
    return out[None]


@cache
def _flash_groups_heads() -> bool:
    """Whether torch's kernel supports fewer key-value heads than query heads: 2.12 does, 2.11 does not."""
    from torch.nn.attention.varlen import varlen_attn

    return "enable_gqa" in inspect.signature(varlen_attn).parameters


ALL_ATTENTION_FUNCTIONS.register(VARLEN, varlen_attention_forward)
ALL_MASK_ATTENTION_FUNCTIONS.register(VARLEN, sdpa_mask)
