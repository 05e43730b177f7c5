"""Prepacked weights give the logits of the plain model, in both precisions."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from tweetelm.openelm import OpenELMConfig, OpenELMForSequenceClassification
from tweetelm.openelm.inference.onednn import PrepackedLinear, can_prepack, prepack
from tweetelm.openelm.packing import pack

CPU = torch.device("cpu")
TWEETS = [[1, 5, 9], [1, 7], [1, 4, 4, 8, 30, 11, 2]]


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
    "settings",
    [
        {},
        {"activation_fn_name": "gelu"},
        {"ffn_with_glu": False},
        {"ffn_with_glu": False, "activation_fn_name": "gelu"},
        {"classifier_pooling": "mean"},
    ],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_a_prepacked_model_gives_the_same_logits(
    settings: dict[str, object], dtype: torch.dtype, tolerance: float
) -> None:
    if not can_prepack(CPU, dtype):
        pytest.skip(f"this processor has no oneDNN kernels for {dtype}")
    plain = classifier(**settings).to(dtype)  # type: ignore[arg-type]
    packed = copy.deepcopy(plain)
    prepack(packed)
    kinds = [type(module) for module in packed.modules()]
    assert kinds.count(PrepackedLinear) == 3 * (5 if packed.config.ffn_with_glu else 4) - 1
    assert kinds.count(nn.Linear) == 2  # the last layer's fused projection and the classifier
    expected = logits(plain)
    assert (logits(packed) - expected).abs().max() <= tolerance * expected.abs().max()


def test_float32_stays_exact_with_fast_math() -> None:
    if not can_prepack(CPU, torch.float32):
        pytest.skip("this processor has no oneDNN kernels for float32")
    weight, x = torch.randn(64, 512), torch.randn(8, 512)
    exact = x.double() @ weight.double().T
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("highest")
        assert (PrepackedLinear(weight)(x) - exact).abs().max() < 1e-4
    finally:
        torch.set_float32_matmul_precision(before)


ROWS = """
from tests.unit.openelm.test_onednn import classifier
from tweetelm.openelm.inference.onednn import prepack
from tweetelm.predictor import classify_packed

model = classifier()
prepack(model)
for lengths in ([30], [27], [21]):
    print("row", lengths, flush=True)
    classify_packed(model, [[1] * length for length in lengths])
"""


@pytest.mark.slow
def test_a_row_of_another_length_needs_no_other_kernels() -> None:
    """oneDNN's log of created and cached kernels. With AMX, creating the kernels for one row took 3 times as
    long as running eight tweets."""
    if not can_prepack(CPU, torch.float32):
        pytest.skip("this processor has no oneDNN kernels for float32")
    env = {**os.environ, "ONEDNN_VERBOSE": "profile_create", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", ROWS], env=env, capture_output=True, text=True, check=True)
    first, second, third = (part.count("create:cache_miss") for part in done.stdout.split("row ")[1:])
    assert first > 0
    assert (second, third) == (0, 0), done.stdout


def test_other_devices_and_precisions_are_left_alone() -> None:
    assert not can_prepack(torch.device("meta"), torch.float32)
    assert not can_prepack(CPU, torch.float64)
