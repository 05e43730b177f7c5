"""int8 layers give the logits of the float32 model within the rounding of int8."""

from functools import partial

import pytest
import torch

from tests.unit.openelm.test_onednn import classifier, logits
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.inference.fused import is_int8, quantize, why_not_int8
from tweetelm.openelm.layers import OpenELMDecoderLayer
from tweetelm.predictor import classify_packed

CPU = torch.device("cpu")
ROWS = [[1, 5, 9], [1, 7], [1, 4, 4, 8, 30, 11, 2], [1, *range(2, 39)]]


@pytest.mark.parametrize(
    "settings", [{}, {"normalize_qk_projections": False}, {"classifier_pooling": "mean"}]
)
def test_int8_logits_match_float32(settings: dict[str, object]) -> None:
    expected = logits(classifier(**settings))
    small = classifier(**settings)
    quantize(small)
    assert is_int8(small)
    difference = (logits(small) - expected).abs().max()
    assert 0 < difference <= 0.05 * expected.abs().max()


def test_int8_results_do_not_depend_on_the_batch() -> None:
    model = classifier()
    quantize(model)
    together = classify_packed(model, ROWS)
    alone = torch.cat([classify_packed(model, [row]) for row in ROWS])
    assert (together - alone).abs().max() < 1e-5


def test_int8_threads_share_the_rows() -> None:
    model = classifier()
    quantize(model)
    rows = ROWS * 10
    one = classify_packed(model, rows)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = classify_packed(model, rows)
    finally:
        torch.set_num_threads(before)
    assert (one - two).abs().max() < 1e-5


def test_int8_refuses_rows_that_are_not_packed() -> None:
    model = classifier()
    quantize(model)
    with pytest.raises(ValueError, match="packed rows only"):
        model(input_ids=torch.tensor([[1, 2, 3]]))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"ffn_with_glu": False}, "gated"), ({"activation_fn_name": "gelu"}, "swish"), ({}, "")],
)
def test_int8_names_what_it_does_not_support(settings: dict[str, object], reason: str) -> None:
    assert reason in why_not_int8(classifier(**settings).config, CPU)
    assert "CPUs only" in why_not_int8(classifier(**settings).config, torch.device("meta"))


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
        quantize(model, partial(classify_packed, model, ROWS) if smooth else None)
        errors.append(float((logits(model) - expected).abs().mean()))
    assert errors[1] < errors[0] / 3
