"""Attention over packed tweets, registered with transformers as the implementation `"varlen"`.

Shapes: H query heads, G key-value heads, d head width, N tokens of all tweets, Q query tokens (N, or B when
only each
tweet's last token asks), B tweets.
"""

import inspect
from functools import cache
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
    """Causal attention inside each tweet of a packed row; plain SDPA where nothing is packed.

    Args:
        module: the attention layer that asks.
        query: (1, H, Q, d).
        key: (1, G, N, d).
        value: (1, G, N, d).
        attention_mask: used only where nothing is packed.
        scaling: softmax scale; d ** -0.5 if None.
        dropout: used only where nothing is packed.
        cu_seq_lens_q: (B + 1,) starts of the tweets among the queries.
        cu_seq_lens_k: (B + 1,) starts of the tweets among the keys.
        max_length_q: longest run of queries.
        max_length_k: longest tweet.
        **kwargs: passed on to SDPA.

    Returns:
        (1, Q, H, d) and None, as transformers' attention interface has it.
    """
    if cu_seq_lens_q is None or cu_seq_lens_k is None:
        out, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return out, None
    if query.is_cuda:
        longest = (
            max_length_q or int(cu_seq_lens_q.diff().max()),
            max_length_k or int(cu_seq_lens_k.diff().max()),
        )
        return _flash(query, key, value, cu_seq_lens_q, cu_seq_lens_k, longest, scaling), None
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
    """Attention written out. Returns (B, T, H, d) and the weights (B, H, T, T); shapes else as in SDPA."""
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
    """One SDPA call for each run of neighbouring tweets that are equally long. Returns (1, Q, H, d)."""
    groups = query.shape[1] // key.shape[1]
    query, key, value = (x[0].transpose(0, 1) for x in (query, key, value))
    if groups > 1:
        key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    pieces = []
    tweet, tweets = 0, len(cu_k) - 1
    while tweet < tweets:
        q, k = cu_q[tweet + 1] - cu_q[tweet], cu_k[tweet + 1] - cu_k[tweet]
        end = tweet + 1
        while end < tweets and cu_q[end + 1] - cu_q[end] == q and cu_k[end + 1] - cu_k[end] == k:
            end += 1
        rows = query[cu_q[tweet] : cu_q[end]].unflatten(0, (-1, q)).transpose(1, 2)
        keys, values = (
            x[cu_k[tweet] : cu_k[end]].unflatten(0, (-1, k)).transpose(1, 2) for x in (key, value)
        )
        # q == k: a whole tweet; q == 1: its last token, which sees all of it.
        out = F.scaled_dot_product_attention(rows, keys, values, is_causal=q > 1, scale=scale)
        pieces.append(out.transpose(1, 2).flatten(0, 1))
        tweet = end
    return torch.cat(pieces)[None]


def _flash(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_q: Tensor,
    cu_k: Tensor,
    longest: tuple[int, int],
    scale: float | None,
) -> Tensor:
    """torch's variable-length flash kernel (half precision only). Returns (1, Q, H, d)."""
    from torch.nn.attention.varlen import varlen_attn

    half = query.dtype if query.dtype in (torch.float16, torch.bfloat16) else torch.bfloat16
    groups = query.shape[1] // key.shape[1]
    q, k, v = (x[0].transpose(0, 1).to(half) for x in (query, key, value))
    if groups > 1:
        k, v = (x.repeat_interleave(groups, dim=1) for x in (k, v))
    options: dict[str, Any] = _causal_argument() | ({} if scale is None else {"scale": scale})
    out = varlen_attn(q, k, v, cu_q, cu_k, longest[0], longest[1], **options)
    assert isinstance(out, Tensor)  # a tuple only if auxiliary outputs are asked for
    return out.to(query.dtype)[None]


@cache
def _causal_argument() -> dict[str, Any]:
    """How this torch spells "causal": an argument that changed its name between releases."""
    from torch.nn.attention.varlen import varlen_attn

    return (
        {"window_size": (-1, 0)}
        if "window_size" in inspect.signature(varlen_attn).parameters
        else {"is_causal": True}
    )


ALL_ATTENTION_FUNCTIONS.register(VARLEN, varlen_attention_forward)
ALL_MASK_ATTENTION_FUNCTIONS.register(VARLEN, sdpa_mask)
