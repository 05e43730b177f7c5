"""The OpenELM configuration: Apple's keys, the four published sizes, errors."""

import pickle
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig

from tests.support.openelm_models import small_config
from tweetelm.openelm import OpenELMConfig, OpenELMForCausalLM

APPLE = {
    "vocab_size": 32000,
    "num_gqa_groups": 4,
    "qkv_multipliers": [0.5, 1.0],
    "ffn_multipliers": (0.5, 4.0),
    "normalize_qk_projections": True,
    "share_input_output_layers": True,
    "ffn_with_glu": True,
    "ffn_dim_divisor": 256,
}


def heads(*runs: tuple[int, int]) -> list[int]:
    return [head for head, times in runs for _ in range(times)]


# layers, width, head width, query heads by layer, parameters, tensors
SIZES = {
    "270M": (16, 1280, 64, heads((12, 5), (16, 7), (20, 4)), 271_527_168, 130),
    "450M": (20, 1536, 64, heads((12, 3), (16, 7), (20, 6), (24, 4)), 457_179_136, 162),
    "1.1B": (28, 2048, 64, heads((16, 3), (20, 7), (24, 8), (28, 6), (32, 4)), 1_079_891_456, 226),
    "3B": (36, 3072, 128, heads((12, 4), (16, 14), (20, 12), (24, 6)), 3_036_647_424, 290),
}


@pytest.mark.parametrize("size", SIZES)
def test_the_published_sizes_have_the_published_counts(size: str) -> None:
    layers, width, head_dim, query_heads, parameters, tensors = SIZES[size]
    config = OpenELMConfig(num_transformer_layers=layers, model_dim=width, head_dim=head_dim, **APPLE)
    assert config.num_query_heads == query_heads
    assert config.num_kv_heads == [head // 4 for head in query_heads]
    with torch.device("meta"):
        model = OpenELMForCausalLM(config)
    model.tie_weights()
    ours = dict(model.named_parameters())
    assert sum(parameter.numel() for parameter in ours.values()) == parameters
    assert len(ours) == tensors


def test_the_270m_feed_forward_widths_are_the_published_ones() -> None:
    config = OpenELMConfig(num_transformer_layers=16, model_dim=1280, head_dim=64, **APPLE)
    assert config.ffn_dims[:8] == [768, 1024, 1280, 1536, 1792, 2048, 2560, 2816]
    assert config.ffn_dims[8:] == [3072, 3328, 3584, 3840, 4352, 4608, 4864, 5120]
    assert config.ffn_multipliers[:3] == [0.5, 0.73, 0.97]  # type: ignore[index]


def test_per_layer_lists_say_the_same_as_their_bounds() -> None:
    short = small_config()
    lists: dict[str, Any] = {
        name: getattr(short, name) for name in ("num_query_heads", "num_kv_heads", "ffn_multipliers")
    }
    assert small_config(**lists).to_dict() == short.to_dict()


def test_the_names_that_transformers_uses_reach_apples_keys() -> None:
    config = small_config()
    assert (config.hidden_size, config.num_hidden_layers, config.max_position_embeddings) == (32, 3, 2048)
    assert config.tie_word_embeddings is True
    config.hidden_size = 48
    config.tie_word_embeddings = False
    assert (config.model_dim, config.share_input_output_layers) == (48, False)


def test_pickling_saving_and_the_auto_class_keep_every_value(tmp_path: Any) -> None:
    config = small_config(classifier_pooling="mean", classifier_dropout=0.1, num_labels=2)
    assert pickle.loads(pickle.dumps(config)).to_dict() == config.to_dict()
    config.save_pretrained(tmp_path)
    assert OpenELMConfig.from_pretrained(tmp_path).to_dict() == config.to_dict()
    auto = AutoConfig.from_pretrained(tmp_path)
    assert type(auto) is OpenELMConfig
    assert auto.to_diff_dict() == config.to_diff_dict()


def test_auto_map_of_a_downloaded_config_is_dropped() -> None:
    theirs = {
        "AutoConfig": "apple/OpenELM-270M--configuration_openelm.OpenELMConfig",
        "AutoModelForCausalLM": "modeling_openelm.OpenELMForCausalLM",
    }
    assert not hasattr(small_config(auto_map=theirs), "auto_map")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ffn_multipliers": [1.0] * 5},
            "ffn_multipliers has 5 values; expected one number, two numbers, or one for each of 3",
        ),
        ({"num_query_heads": [4, 4]}, "num_query_heads has 2 values; expected one for each of 3 layers"),
        (
            {"num_query_heads": [4, 5, 4], "num_kv_heads": 2},
            "layer 1 has 5 query heads and 2 key-value",
        ),
        ({"num_query_heads": 4, "num_kv_heads": 0}, "layer 0 has 4 query heads and 0 key-value"),
        ({"head_dim": 7}, "head_dim is 7; expected an even number"),
        (
            {"normalization_layer_name": "layer_norm"},
            "normalization_layer_name is 'layer_norm'; expected 'rms_norm'",
        ),
        ({"activation_fn_name": "swoosh"}, "activation_fn_name is 'swoosh'; expected one of"),
        ({"classifier_pooling": "first"}, "classifier_pooling is 'first'; expected 'last' or 'mean'"),
        ({"classifier_dropout": 1.0}, "classifier_dropout is 1.0; expected at least 0 and below 1"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_config(**changes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rope_max_length", 2**50),
        ("rope_max_length", 0),
        ("max_context_length", 2**40),
        ("max_context_length", -1),
        ("vocab_size", 10**12),
        ("vocab_size", 0),
        ("num_transformer_layers", 2**40),
        ("num_transformer_layers", -3),
        ("model_dim", 2**40),
        ("head_dim", 2**40),
        ("num_query_heads", 2**40),
        ("num_kv_heads", [1, 2**40, 1]),
        ("num_gqa_groups", 0),
        ("ffn_multipliers", float("nan")),
        ("ffn_multipliers", [1e9, 1e9, 1e9]),
        ("ffn_multipliers", [1.0] * 5000),
        ("qkv_multipliers", float("inf")),
        ("ffn_dim_divisor", 0),
        ("rope_freq_constant", float("nan")),
        ("rope_freq_constant", 0),
        ("rms_norm_eps", float("nan")),
        ("rms_norm_eps", -1.0),
        ("initializer_range", float("inf")),
        ("classifier_dropout", float("nan")),
    ],
)
def test_an_absurd_number_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"{name} (is|has) .*expected"):
        small_config(**{name: value})


@pytest.mark.parametrize("value", ["4096", None, 4096.5, [4096], "1e9", True])
def test_a_number_of_another_type_is_refused_by_name(value: Any) -> None:
    with pytest.raises((ValueError, TypeError, StrictDataclassError), match="rope_max_length"):
        small_config(rope_max_length=value)
