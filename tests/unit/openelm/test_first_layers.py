"""The first layers of a model: states, configuration, tensors that are read, refusals."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.openelm_models import classifier, language_model, small_config
from tweetelm.openelm import (
    OpenELMConfig,
    OpenELMForCausalLM,
    OpenELMForSequenceClassification,
    OpenELMModel,
)
from tweetelm.openelm.checkpoints.first_layers import is_above, keep_first_layers
from tweetelm.openelm.checkpoints.hub import WEIGHTS
from tweetelm.openelm.checkpoints.loading import load_weights, read_config
from tweetelm.openelm.flops import cost

IDS = torch.tensor([[1, 5, 9, 7, 20, 33], [1, 8, 2, 40, 41, 3]])


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_states_are_the_normed_states_of_that_layer(tmp_path: Path, layers: int) -> None:
    whole = language_model()
    with torch.no_grad():
        whole.transformer.norm.weight.uniform_(0.5, 2.0)
    whole.save_pretrained(tmp_path)
    cut = load_weights(OpenELMModel, tmp_path, layers=layers).eval()
    cut.set_attn_implementation("sdpa")
    states: list[torch.Tensor] = []
    for layer in whole.transformer.layers:
        layer.register_forward_hook(lambda _, __, output: states.append(output))
    with torch.no_grad():
        whole(IDS)
        expected = whole.transformer.norm(states[layers - 1])
        assert torch.equal(cut(IDS).last_hidden_state, expected)


def test_a_saved_cut_model_is_whole_by_itself(tmp_path: Path) -> None:
    classifier().save_pretrained(tmp_path / "whole")
    cut = load_weights(OpenELMForSequenceClassification, tmp_path / "whole", layers=2)
    cut.save_pretrained(tmp_path / "cut")
    config = read_config(tmp_path / "cut")
    assert config.num_transformer_layers == 2
    lists = (config.num_query_heads, config.num_kv_heads, config.ffn_multipliers, config.qkv_multipliers)
    assert [len(each) for each in lists] == [2, 2, 2, 2]  # type: ignore[arg-type]
    again = load_weights(OpenELMForSequenceClassification, tmp_path / "cut")
    assert all(torch.equal(a, b) for a, b in zip(cut.parameters(), again.parameters(), strict=True))


def test_heads_and_widths_are_those_of_the_lower_layers() -> None:
    whole, cut = small_config(num_transformer_layers=6), small_config(num_transformer_layers=6)
    keep_first_layers(cut, 2)
    assert cut.num_query_heads == whole.num_query_heads[:2]  # type: ignore[index]
    assert cut.ffn_dims == whole.ffn_dims[:2]
    derived = OpenELMConfig(**{**cut.to_dict(), "num_query_heads": None, "num_kv_heads": None})
    assert derived.num_query_heads == cut.num_query_heads


def test_cost_is_that_of_the_parameters_kept() -> None:
    config = small_config(num_transformer_layers=6)
    keep_first_layers(config, 2)
    assert cost(config).parameters == OpenELMForCausalLM(config).num_parameters()


def test_tensors_above_are_not_looked_at(tmp_path: Path) -> None:
    language_model().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    for name, tensor in tensors.items():
        if is_above(name, 1):
            tensor.fill_(float("nan"))
    save_file(tensors, tmp_path / WEIGHTS, {"format": "pt"})
    assert len(load_weights(OpenELMForCausalLM, tmp_path, layers=1).transformer.layers) == 1
    with pytest.raises(ValueError, match="not finite"):
        load_weights(OpenELMForCausalLM, tmp_path, layers=2)


def test_tensors_below_are_still_checked(tmp_path: Path) -> None:
    language_model().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    del tensors["transformer.layers.0.ffn.proj_1.weight"]
    save_file(tensors, tmp_path / WEIGHTS, {"format": "pt"})
    with pytest.raises(ValueError, match=r"layers\.0\.ffn\.proj_1\.weight is missing"):
        load_weights(OpenELMForCausalLM, tmp_path, layers=1)


def test_weights_stored_in_bfloat16_load_in_float32(tmp_path: Path) -> None:
    language_model().to(torch.bfloat16).save_pretrained(tmp_path)
    cut = load_weights(OpenELMForCausalLM, tmp_path, layers=1)
    assert {weight.dtype for weight in cut.parameters()} == {torch.float32}


@pytest.mark.parametrize("layers", [0, 4])
def test_a_number_outside_the_model_is_refused(tmp_path: Path, layers: int) -> None:
    language_model().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"has 3 layers; expected 1 to 3 of them, not {layers}"):
        load_weights(OpenELMForCausalLM, tmp_path, layers=layers)
