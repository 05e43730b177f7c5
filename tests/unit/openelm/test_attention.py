"""Attention over packed tweets: each implementation against explicit attention per tweet."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from tweetelm.openelm import attention

CLOSE = {"rtol": 0.0, "atol": 1e-6}
LENGTHS = [3, 3, 1, 5, 5, 5, 2]


def starts(lengths: list[int]) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


def random_heads(query_heads: int, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (1, H, N, d), keys and values (1, G, N, d) of the tweets of `LENGTHS`."""
    torch.manual_seed(0)
    shapes = [query_heads, query_heads // groups, query_heads // groups]
    query, key, value = (torch.randn(1, heads, sum(LENGTHS), 8) for heads in shapes)
    return query, key, value


def written_out(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """(1, N, H, d): attention of each token to itself and the earlier tokens of its tweet."""
    groups = query.shape[1] // key.shape[1]
    out = []
    for first, end in zip(starts(LENGTHS)[:-1].tolist(), starts(LENGTHS)[1:].tolist(), strict=True):
        for token in range(first, end):
            for head in range(query.shape[1]):
                keys, values = (x[0, head // groups, first : token + 1] for x in (key, value))
                weights = (keys @ query[0, head, token] * scale).softmax(0)
                out.append(weights @ values)
    return torch.stack(out).unflatten(0, (1, -1, query.shape[1]))


def attend(query: Tensor, key: Tensor, value: Tensor, queries: list[int], scale: float = 0.3) -> Tensor:
    function = ALL_ATTENTION_FUNCTIONS[attention.VARLEN]
    boundaries = {"cu_seq_lens_q": starts(queries), "cu_seq_lens_k": starts(LENGTHS)}
    out, weights = function(nn.Module(), query, key, value, None, scaling=scale, **boundaries)
    assert weights is None
    return out


def kernel(
    query: Tensor, key: Tensor, value: Tensor, cu_q: Tensor, cu_k: Tensor, causal: bool, scale: float
) -> Tensor:
    """A fake of torch's kernel, (N, H, d). Its causal mask starts at the first token, so it is wrong for a
    single query."""
    out = []
    for tweet in range(len(cu_k) - 1):
        q = query[cu_q[tweet] : cu_q[tweet + 1]]
        k, v = (x[cu_k[tweet] : cu_k[tweet + 1]] for x in (key, value))
        scores = torch.einsum("qhd,khd->hqk", q, k) * scale
        if causal:
            scores = scores.masked_fill(torch.ones(len(q), len(k)).triu(1).bool(), float("-inf"))
        out.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), v))
    return torch.cat(out)


def kernel_of_2_11(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    return_aux: Any = None,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
) -> Tensor:
    assert query.shape[1] == key.shape[1], "this torch version does not group heads"
    assert (max_q, max_k) == (int(cu_seq_q.diff().max()), int(cu_seq_k.diff().max()))
    assert scale is not None
    return kernel(query, key, value, cu_seq_q, cu_seq_k, window_size == (-1, 0), scale)


def kernel_of_2_13(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *rest: Any,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
) -> Tensor:
    assert enable_gqa or query.shape[1] == key.shape[1]
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    return kernel_of_2_11(query, key, value, *rest, scale=scale, window_size=window_size)


@pytest.fixture(params=["lengths", "torch 2.11", "torch 2.13"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The CPU path, and the GPU path with a fake kernel per torch version, in float32 for comparison."""
    attention._flash_groups_heads.cache_clear()
    if request.param != "lengths":
        stand_in: Callable[..., Tensor] = kernel_of_2_11 if "2.11" in request.param else kernel_of_2_13
        monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", stand_in)
        monkeypatch.setattr(attention, "_flash_dtype", lambda query: query.dtype)
    yield request.param
    attention._flash_groups_heads.cache_clear()


@pytest.mark.parametrize(("heads", "groups"), [(2, 1), (4, 2), (3, 3)])
def test_each_token_sees_its_own_tweet_up_to_itself(path: str, heads: int, groups: int) -> None:
    query, key, value = random_heads(heads, groups)
    out = attend(query, key, value, LENGTHS)
    torch.testing.assert_close(out, written_out(query, key, value, 0.3), **CLOSE)


@pytest.mark.parametrize(("heads", "groups"), [(2, 1), (4, 2), (3, 3)])
def test_a_lone_query_sees_its_whole_tweet(path: str, heads: int, groups: int) -> None:
    query, key, value = random_heads(heads, groups)
    last = starts(LENGTHS)[1:].long() - 1
    out = attend(query[:, :, last], key, value, [1] * len(LENGTHS))
    torch.testing.assert_close(out, written_out(query, key, value, 0.3)[:, last], **CLOSE)


def test_some_but_not_all_of_a_tweets_queries_are_refused() -> None:
    query, key, value = random_heads(2, 1)
    with pytest.raises(ValueError, match="a tweet of 3 tokens has 2 queries; expected 3, or 1"):
        attend(query[:, :, : 2 * len(LENGTHS)], key, value, [2] * len(LENGTHS))


def test_without_boundaries_it_is_plain_causal_attention() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 2, 5, 8) for _ in range(3))
    layer = nn.Module()
    layer.is_causal = True  # type: ignore[assignment]
    out, _ = ALL_ATTENTION_FUNCTIONS[attention.VARLEN](layer, query, key, value, None, scaling=0.3)
    expected = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.3)
    torch.testing.assert_close(out, expected.transpose(1, 2), **CLOSE)
