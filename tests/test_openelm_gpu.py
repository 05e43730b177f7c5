"""The CUDA paths against the CPU's, which the other files compare with the reference."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.openelm_models import TWEETS, classifier
from tweetelm.openelm import OpenELMForSequenceClassification, attention
from tweetelm.openelm.packing import pack

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
LENGTHS = [40, 40, 1, 128, 7, 64]
LABELS = torch.tensor([0, 2, 1, 1, 0])


def starts(lengths: list[int], device: str) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).to(device, torch.int32)


def heads_and_gradients(
    tensors: tuple[Tensor, ...], queries: list[int], device: str, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """What attention gives for queries, keys and values, and their gradients, in float32 on the CPU."""
    inputs = [x.detach().to(device, dtype, copy=True).requires_grad_() for x in tensors]
    boundaries = {"cu_seq_lens_q": starts(queries, device), "cu_seq_lens_k": starts(LENGTHS, device)}
    out, _ = attention.varlen_attention_forward(nn.Module(), *inputs, None, **boundaries)
    (out.float() * torch.linspace(-1, 1, out.numel(), device=device).view_as(out)).sum().backward()
    gradients = [x.grad for x in inputs if x.grad is not None]
    assert len(gradients) == 3
    return tuple(x.detach().float().cpu() for x in (out, *gradients))


@pytest.mark.parametrize("lone", [False, True], ids=["every token asks", "the last token asks"])
@pytest.mark.parametrize(
    ("query_heads", "kv_heads", "width"), [(12, 3, 64), (20, 5, 64), (12, 3, 128), (4, 4, 16)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_attention_and_its_gradients_equal_the_cpus(
    dtype: torch.dtype, query_heads: int, kv_heads: int, width: int, lone: bool
) -> None:
    torch.manual_seed(0)
    queries = [1] * len(LENGTHS) if lone else LENGTHS
    tensors = (
        torch.randn(1, query_heads, sum(queries), width),
        torch.randn(1, kv_heads, sum(LENGTHS), width),
        torch.randn(1, kv_heads, sum(LENGTHS), width),
    )
    rounded = tuple(x.to(dtype).float() for x in tensors)
    expected = heads_and_gradients(rounded, queries, "cpu", torch.float32)
    ours = heads_and_gradients(rounded, queries, "cuda", dtype)
    tolerance = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}[dtype]
    for theirs, mine in zip(expected, ours, strict=True):
        assert (theirs - mine).abs().max() <= tolerance * max(1.0, theirs.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_takes_the_flash_kernel_and_float32_does_not(dtype: torch.dtype) -> None:
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("torch's flash kernel needs compute capability 8.0")
    query = torch.randn(1, 4, 3, 64, device="cuda")
    assert attention._flash_dtype(query) is None
    assert attention._flash_dtype(query.to(dtype)) is dtype
    with torch.autocast("cuda", dtype=dtype):
        assert attention._flash_dtype(query) is dtype
    assert attention._flash_dtype(query[..., :12].to(dtype)) is None  # the kernel takes multiples of 8


def on_cuda(
    model: OpenELMForSequenceClassification,
) -> tuple[OpenELMForSequenceClassification, dict[str, Any]]:
    return model.to("cuda"), pack(TWEETS).to("cuda").inputs()


def test_float32_logits_equal_the_cpus() -> None:
    expected = classifier()(**pack(TWEETS).inputs()).logits
    model, inputs = on_cuda(classifier())
    for extra in ({}, {"output_hidden_states": True}):
        logits = model(**inputs, **extra).logits.cpu()
        torch.testing.assert_close(logits, expected, rtol=0.0, atol=1e-5)


def test_autocast_logits_and_gradients_are_near_the_cpus_float32() -> None:
    exact = classifier()
    expected = exact(**pack(TWEETS).inputs(), labels=LABELS)
    expected.loss.backward()
    model, inputs = on_cuda(classifier())
    with torch.autocast("cuda", dtype=torch.bfloat16):
        out = model(**inputs, labels=LABELS.to("cuda"))
    out.loss.backward()
    assert out.logits.dtype == torch.float32
    assert (out.logits.cpu() - expected.logits).abs().max() < 0.1 * expected.logits.std()
    ours = dict(model.named_parameters())
    for name, parameter in exact.named_parameters():
        assert parameter.grad is not None
        gradient = ours[name].grad
        assert gradient is not None, name
        likeness = nn.functional.cosine_similarity(gradient.cpu().flatten(), parameter.grad.flatten(), dim=0)
        assert likeness > 0.99, name


def test_a_tweet_does_not_change_its_neighbours_in_bfloat16() -> None:
    model, inputs = on_cuda(classifier())
    model = model.to(torch.bfloat16)
    changed = [list(tweet) for tweet in TWEETS]
    changed[2] = [1, 50, 51, 52, 53, 54, 55, 56]
    before, after = model(**inputs).logits, model(**pack(changed).to("cuda").inputs()).logits
    assert not torch.equal(before[2], after[2])
    others = [0, 1, 3, 4]
    assert torch.equal(before[others], after[others])


def test_a_row_without_lengths_gives_the_same_logits() -> None:
    model, inputs = on_cuda(classifier())
    model = model.to(torch.bfloat16)
    expected = model(**inputs).logits
    fewer = {name: inputs[name] for name in ("input_ids", "cu_seq_lens_q")}
    assert torch.equal(model(**fewer).logits, expected)
