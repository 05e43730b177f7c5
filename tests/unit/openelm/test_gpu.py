"""The CUDA paths against the CPU paths, which other tests compare with the reference."""

import copy
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.openelm_models import TWEETS, classifier
from tweetelm.openelm import OpenELMForSequenceClassification, attention
from tweetelm.openelm.cuda_graphs import LONGEST, Captured, can_capture, capture
from tweetelm.openelm.packing import pack, pack_onto

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
    """Outputs of attention and gradients of queries, keys and values, in float32 on the CPU."""
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
def test_only_half_precision_uses_flash_attention(dtype: torch.dtype) -> None:
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("torch's flash kernel needs compute capability 8.0")
    query = torch.randn(1, 4, 3, 64, device="cuda")
    assert attention._flash_dtype(query) is None
    assert attention._flash_dtype(query.to(dtype)) is dtype
    with torch.autocast("cuda", dtype=dtype):
        assert attention._flash_dtype(query) is dtype
    assert attention._flash_dtype(query[..., :12].to(dtype)) is None  # the kernel requires multiples of 8


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


def test_autocast_is_close_to_float32_on_cpu() -> None:
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


def half() -> OpenELMForSequenceClassification:
    """A model in half precision that reads tweets longer than the recorded ones."""
    return classifier(max_context_length=2 * LONGEST).to("cuda", torch.bfloat16)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def both() -> tuple[OpenELMForSequenceClassification, OpenELMForSequenceClassification]:
    """The same weights without and with recorded graphs."""
    plain = half()
    recorded = copy.deepcopy(plain)
    assert can_capture(recorded)
    capture(recorded)
    return plain, recorded


def logits(model: OpenELMForSequenceClassification, tweets: list[list[int]]) -> Tensor:
    with torch.inference_mode():
        found = model(**pack_onto(torch.device("cuda"), tweets).inputs()).logits
    assert isinstance(found, Tensor)
    return found


@pytest.mark.parametrize(
    "tweets",
    [
        [[1]],
        [[1, 2]] * 100,
        [[1, *range(2, 60)], [1, 3], [1]] * 5,
        [[1] * 64],
        [[1, *range(2, 64), *range(2, 64), *range(2, 64)]] * 40,
    ],
    ids=["one token", "a hundred short ones", "long and short", "a whole size", "large"],
)
def test_a_recorded_pass_gives_the_plain_ones_logits(
    both: tuple[OpenELMForSequenceClassification, OpenELMForSequenceClassification], tweets: list[list[int]]
) -> None:
    plain, recorded = both
    other = logits(recorded, [[1, 9, 9, 9]] * 30)
    expected, found = logits(plain, tweets), logits(recorded, tweets)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 2e-2 * expected.abs().max()
    assert torch.equal(logits(recorded, [[1, 9, 9, 9]] * 30), other)  # no state of the earlier row remains


def test_what_is_not_recorded_runs_as_before(
    both: tuple[OpenELMForSequenceClassification, OpenELMForSequenceClassification],
) -> None:
    plain, recorded = both
    for tweets in ([[1] + [5] * LONGEST], [[1, *range(2, 60)]] * 200, [[1]] * 2000):
        assert torch.equal(logits(recorded, tweets), logits(plain, tweets))
    mask = torch.ones(1, 3, dtype=torch.long, device="cuda")
    padded = {"input_ids": torch.tensor([[1, 5, 6]], device="cuda"), "attention_mask": mask}
    assert torch.equal(recorded(**padded).logits, plain(**padded).logits)
    assert recorded(**pack(TWEETS).to("cuda").inputs()).logits.requires_grad


def test_threads_do_not_read_each_others_logits(
    both: tuple[OpenELMForSequenceClassification, OpenELMForSequenceClassification],
) -> None:
    _, recorded = both
    rows = [[[1, token] * 4] * 3 for token in range(2, 22)]
    expected = [logits(recorded, tweets) for tweets in rows]
    assert not torch.equal(expected[0], expected[1])
    with ThreadPoolExecutor(8) as threads:
        for mine, found in zip(
            expected * 20, threads.map(lambda t: logits(recorded, t), rows * 20), strict=True
        ):
            assert torch.equal(mine, found)


def test_another_model_is_recorded_while_one_answers(
    both: tuple[OpenELMForSequenceClassification, OpenELMForSequenceClassification],
) -> None:
    _, recorded = both
    expected = logits(recorded, TWEETS)
    with ThreadPoolExecutor(1) as threads:
        coming = threads.submit(lambda: capture(half()))
        answers = 0
        while not coming.done() or answers < 10:
            assert torch.equal(logits(recorded, TWEETS), expected)
            answers += 1
        coming.result()


def test_a_recorded_model_goes_when_nobody_holds_it() -> None:
    model = half()
    capture(model)
    assert isinstance(model.forward, Captured)
    held = weakref.ref(model)
    gc.disable()
    try:
        del model
        assert held() is None
    finally:
        gc.enable()
