"""Pools the states of a tweet's tokens into one state per tweet.

Shapes: B tweets, T tokens of the longest tweet, N tokens of all tweets, D model width.
"""

import torch
from torch import Tensor


def real_tokens(states: Tensor, ids: Tensor | None, mask: Tensor | None, pad: int | None) -> Tensor:
    """(B, T) bool: which tokens are not padding."""
    if mask is not None and mask.dim() == 2:
        return mask[:, -states.shape[1] :].bool()
    if ids is not None and pad is not None:
        return ids != pad
    return torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)


def pool_padded(states: Tensor, real: Tensor, pooling: str) -> Tensor:
    """Pool padded tweets: (B, T, D) -> (B, D)."""
    if pooling == "mean":
        weights = real.to(states.dtype)[..., None]
        return (states * weights).sum(1) / weights.sum(1).clamp(min=1)
    last = (real * torch.arange(real.shape[1], device=real.device)).argmax(-1)
    return states[torch.arange(states.shape[0], device=states.device), last]


def pool_packed(states: Tensor, starts: Tensor, pooling: str) -> Tensor:
    """Pool packed tweets: (N, D) -> (B, D)."""
    if pooling == "last":
        return states[starts[1:].long() - 1]
    lengths = starts.diff().long()
    tweets = torch.repeat_interleave(torch.arange(len(lengths), device=states.device), lengths)
    sums = states.new_zeros(len(lengths), states.shape[1]).index_add(0, tweets, states)
    return sums / lengths[:, None]
