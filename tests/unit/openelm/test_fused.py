"""Fused layers give the logits of the plain float32 model, within the rounding of their precision."""

import ctypes
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tweetelm.openelm import OpenELMConfig, OpenELMForSequenceClassification
from tweetelm.openelm.cpu import openmp
from tweetelm.openelm.cpu.fused import fuse, fused_precision, why_not_fused
from tweetelm.openelm.cpu.products import Precision
from tweetelm.openelm.layers import OpenELMDecoderLayer
from tweetelm.openelm.packing import pack
from tweetelm.predictor import classify_packed

CPU = torch.device("cpu")
TWEETS = [[1, 5, 9], [1, 7], [1, 4, 4, 8, 30, 11, 2]]
ROWS = [*TWEETS, [1, *range(2, 39)]]


def classifier(**settings: object) -> OpenELMForSequenceClassification:
    torch.manual_seed(0)
    shape: dict[str, object] = {
        "num_transformer_layers": 3,
        "model_dim": 64,
        "head_dim": 16,
        "vocab_size": 40,
    }
    shape |= {"num_gqa_groups": 2, "ffn_dim_divisor": 32, "normalize_qk_projections": True, **settings}
    config = OpenELMConfig(**shape)  # type: ignore[arg-type]
    config.num_labels = 2
    return OpenELMForSequenceClassification._from_config(config, attn_implementation="varlen").eval()  # type: ignore[no-any-return]


def logits(model: OpenELMForSequenceClassification) -> torch.Tensor:
    with torch.inference_mode():
        found = model(**pack(TWEETS).inputs()).logits
    assert isinstance(found, torch.Tensor)
    return found.float()


@pytest.mark.parametrize(
    "settings", [{}, {"normalize_qk_projections": False}, {"classifier_pooling": "mean"}]
)
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bf16", 2e-2), ("int8", 5e-2)])
def test_fused_logits_match_float32(
    settings: dict[str, object], precision: Precision, tolerance: float
) -> None:
    expected = logits(classifier(**settings))
    model = classifier(**settings)
    fuse(model, precision)
    assert fused_precision(model) == precision
    difference = (logits(model) - expected).abs().max()
    assert 0 < difference <= tolerance * expected.abs().max()


@pytest.mark.parametrize("width", [8, 24, 40, 64])
def test_heads_are_a_multiple_of_eight_wide(width: int) -> None:
    model = classifier(head_dim=width, num_gqa_groups=1)
    expected = logits(model)
    fuse(model, "float32")
    assert (logits(model) - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("precision", ["float32", "bf16", "int8"])
def test_fused_results_do_not_depend_on_the_batch(precision: Precision) -> None:
    model = classifier()
    fuse(model, precision)
    together = classify_packed(model, ROWS)
    alone = torch.cat([classify_packed(model, [row]) for row in ROWS])
    assert (together - alone).abs().max() < 1e-5


def test_the_first_layers_of_a_deep_int8_model_are_more_exact() -> None:
    """On SmolLM2's 30 layers, the first two cause a third of the error."""
    model = classifier(num_transformer_layers=30)
    fuse(model, "int8")
    found = [layer.precision for layer in model.transformer.layers]
    assert fused_precision(model) == "int8"
    assert found[2:] == ["int8"] * 28
    assert "int8" not in found[:2]


PRODUCT = """
import torch
from tweetelm.openelm.cpu.products import ZERO, largest_weight, product

torch.manual_seed(0)
weight, rows = torch.randn(128, 256).sign() * 100, torch.randint(0, 256, (64, 256)).to(torch.uint8)
found = product(weight, "int8")(rows).double()
expected = (rows.double() - ZERO) @ weight.double().T
print("LIMIT", largest_weight(), "ERROR", float(((found - expected).abs() / expected.abs().max()).max()))
"""


@pytest.mark.parametrize("processor", ["AVX2", "AVX512_CORE_VNNI", "ALL"])
def test_int8_products_are_exact_and_fast_on_every_processor(processor: str) -> None:
    """Without AMX, oneDNN multiplied signed rows by its reference code, 5,000 times slower; without VNNI, its
    sums of two products exceeded 16 bits."""
    env = {**os.environ, "ONEDNN_MAX_CPU_ISA": processor, "ONEDNN_VERBOSE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PRODUCT], env=env, capture_output=True, text=True, check=True
    )
    products = [line for line in done.stdout.splitlines() if ",exec,cpu,matmul," in line]
    assert products
    assert not [line for line in products if ",ref" in line]
    words = done.stdout[done.stdout.index("LIMIT") :].split()
    assert int(words[1]) in ((63,) if processor == "AVX2" else (63, 127))
    assert float(words[3]) < 5e-3


KERNELS = """
from tests.unit.openelm.test_fused import classifier
from tweetelm.openelm.cpu.fused import fuse
from tweetelm.predictor import classify_packed

model = classifier()
fuse(model, "float32")
for lengths in ([30], [27], [25]):
    print("row", lengths, flush=True)
    classify_packed(model, [[1] * length for length in lengths])
"""


@pytest.mark.slow
def test_a_row_of_another_length_needs_no_other_kernels() -> None:
    """oneDNN's log of created and cached kernels. With AMX, creating the kernels for one row took 3 times as
    long as running eight tweets."""
    env = {**os.environ, "ONEDNN_VERBOSE": "profile_create", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", KERNELS], env=env, capture_output=True, text=True, check=True
    )
    first, second, third = (part.count("create:cache_miss") for part in done.stdout.split("row ")[1:])
    assert first > 0
    assert (second, third) == (0, 0), done.stdout


def test_threads_share_the_rows() -> None:
    model = classifier()
    fuse(model, "int8")
    rows = ROWS * 10
    one = classify_packed(model, rows)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = classify_packed(model, rows)
    finally:
        torch.set_num_threads(before)
    assert (one - two).abs().max() < 1e-5


ADDED_THREADS = """
import os, torch
from tweetelm.openelm.cpu.launch import run
def add():
    rows = torch.ones(300, 64)
    run("add", 300, rows, rows.clone(), torch.ones(300))
def threads():
    return len(os.listdir("/proc/self/task"))
torch.set_num_threads(1)
add()
torch.ones(9, 9) @ torch.ones(9, 9)
found = [threads()]
torch.set_num_threads(3)
add()
found.append(threads())
torch.ones(300, 300) @ torch.ones(300, 300)
found.append(threads())
print(*(number - found[0] for number in found))
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in Linux's /proc")
def test_kernels_run_on_the_threads_of_torch() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", ADDED_THREADS], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "0 2 2\n", "a kernel starts two threads, and a product uses them"


def test_kernels_run_without_the_threads_of_torch() -> None:
    """What `each_part` calls if torch's OpenMP library has no `GOMP_parallel`."""
    seen: list[int | None] = []
    body = openmp.BODY(seen.append)
    openmp.in_this_thread(ctypes.cast(body, ctypes.c_void_p).value, 7, 4, 0)
    assert seen == [7]


@numba.njit
def fails_at(part: int, start: int, stop: int, rows: NDArray[np.float32]) -> None:
    rows[start:stop] += 1
    if part == 2:
        raise ValueError


@numba.njit
def run_failing(rows: NDArray[np.float32]) -> None:
    openmp.each_part(fails_at, 2, 4, len(rows), (rows,))


def test_an_error_in_one_part_is_raised() -> None:
    rows = np.zeros(8, np.float32)
    with pytest.raises(RuntimeError, match="fails_at failed"):
        run_failing(rows)
    assert rows.tolist() == [1.0] * 8


def test_a_fused_model_refuses_rows_that_are_not_packed() -> None:
    model = classifier()
    fuse(model, "int8")
    with pytest.raises(ValueError, match="packed rows only"):
        model(input_ids=torch.tensor([[1, 2, 3]]))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"ffn_with_glu": False}, "gated"),
        ({"activation_fn_name": "gelu"}, "swish"),
        ({"head_dim": 12}, "head_dim is 12; only multiples of 8"),
        ({}, ""),
    ],
)
def test_fusing_names_what_it_does_not_support(settings: dict[str, object], reason: str) -> None:
    assert reason in why_not_fused(classifier(**settings).config, CPU, "int8")
    assert "CPUs only" in why_not_fused(classifier(**settings).config, torch.device("meta"), "int8")


def outlying() -> OpenELMForSequenceClassification:
    """A model with the logits of `classifier()`, in which one channel of each norm is large."""
    model = classifier()
    for layer in model.transformer.layers:
        assert isinstance(layer, OpenELMDecoderLayer)
        for norm, product in ((layer.attn_norm, layer.attn.qkv_proj), (layer.ffn_norm, layer.ffn.proj_1)):
            norm.weight.data[3] *= 100
            product.weight.data[:, 3] /= 100
    return model


def test_smoothing_keeps_digits_beside_large_channels() -> None:
    expected, errors = logits(classifier()), list[float]()
    assert torch.allclose(logits(outlying()), expected, atol=1e-4)
    for smooth in (False, True):
        model = outlying()
        fuse(model, "int8", partial(classify_packed, model, ROWS) if smooth else None)
        errors.append(float((logits(model) - expected).abs().mean()))
    assert errors[1] < errors[0] / 3
