"""The decoder and the language model: saving, tying, resizing, caches, gradients, precision."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor
from transformers import AutoModel, AutoModelForCausalLM

from tests.support.openelm_models import TWEETS, checkpoint_activations, language_model, pad, small_config
from tweetelm.openelm import OpenELMForCausalLM, OpenELMModel
from tweetelm.openelm.packing import pack

CLOSE = {"rtol": 0.0, "atol": 1e-5}
IMPLEMENTATIONS = ["sdpa", "eager", "varlen"]


def alone(model: OpenELMForCausalLM) -> Tensor:
    """(N, V) logits of the tweets, each run in its own pass."""
    return torch.cat([model(input_ids=torch.tensor([tweet])).logits[0] for tweet in TWEETS])


@pytest.mark.parametrize("tied", [True, False])
def test_saving_and_loading_changes_nothing(tied: bool, tmp_path: Path) -> None:
    model = language_model(share_input_output_layers=tied)
    model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as stored:
        assert ("lm_head.weight" in stored.keys()) is not tied  # noqa: SIM118 # not a dict
    ids = torch.tensor([TWEETS[0]])
    for loaded in (
        OpenELMForCausalLM.from_pretrained(tmp_path),
        AutoModelForCausalLM.from_pretrained(tmp_path),
    ):
        assert (loaded.lm_head.weight is loaded.get_input_embeddings().weight) is tied
        assert torch.equal(loaded.eval()(input_ids=ids).logits, model(input_ids=ids).logits)
    base = AutoModel.from_pretrained(tmp_path)
    assert type(base) is OpenELMModel
    states = model.transformer(input_ids=ids).last_hidden_state
    assert torch.equal(base.eval()(input_ids=ids).last_hidden_state, states)


@pytest.mark.parametrize("tied", [True, False])
def test_resizing_the_vocabulary_keeps_the_old_tokens(tied: bool) -> None:
    model = language_model(share_input_output_layers=tied)
    ids = torch.tensor([TWEETS[0]])
    before = model(input_ids=ids).logits
    model.resize_token_embeddings(70, mean_resizing=False)
    after = model(input_ids=ids).logits
    assert after.shape[-1] == model.config.vocab_size == model.lm_head.weight.shape[0] == 70
    torch.testing.assert_close(after[..., :64], before, **CLOSE)
    assert (model.lm_head.weight is model.get_input_embeddings().weight) is tied


def test_initialization_scales_with_width_and_depth() -> None:
    torch.manual_seed(0)
    model = OpenELMForCausalLM(small_config(model_dim=256, head_dim=32, ffn_dim_divisor=64, vocab_size=512))
    layer = model.transformer.layers[0]
    into_residual = 256**-0.5 * 6**-0.5
    for weight, std in (
        (model.get_input_embeddings().weight, 0.02),
        (layer.attn.qkv_proj.weight, 256**-0.5),
        (layer.attn.out_proj.weight, into_residual),
        (layer.ffn.proj_1.weight, 256**-0.5),
        (layer.ffn.proj_2.weight, into_residual),
    ):
        assert weight.std().item() == pytest.approx(std, rel=0.05)
    assert torch.equal(layer.attn.q_norm.weight, torch.ones(32))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_gradient_checkpointing_gives_the_same_gradients(implementation: str) -> None:
    gradients = []
    for checkpointing in (False, True):
        model = language_model(implementation).train()
        if checkpointing:
            checkpoint_activations(model)
        batch = pack(TWEETS)
        model(**batch.inputs(), labels=batch.input_ids).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        assert gradient is not None, name
        torch.testing.assert_close(gradients[1][name], gradient, **CLOSE)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_tweet_has_the_logits_it_has_alone(implementation: str, side: str) -> None:
    model = language_model(implementation)
    batch = pad(TWEETS, side)
    logits = model(**batch).logits[batch["attention_mask"].bool()]
    torch.testing.assert_close(logits, alone(model), **CLOSE)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    "given",
    [
        {"position_ids"},
        {"position_ids", "cu_seq_lens_q", "cu_seq_lens_k"},
        {"cu_seq_lens_q"},
        {"cu_seq_lens_q", "attention_mask"},
    ],
    ids=lambda names: "+".join(sorted(names)),
)
def test_packed_tweets_do_not_attend_to_each_other(implementation: str, given: set[str]) -> None:
    model = language_model(implementation)
    batch = pack(TWEETS)
    everything: dict[str, Any] = batch.inputs() | {"attention_mask": torch.ones_like(batch.input_ids)}
    out = model(input_ids=batch.input_ids, **{name: everything[name] for name in given})
    torch.testing.assert_close(out.logits[0], alone(model), **CLOSE)
    assert out.past_key_values is None


def test_a_packed_row_refuses_a_cache() -> None:
    model = language_model()
    cache = model(input_ids=torch.tensor([[1, 2]]), use_cache=True).past_key_values
    with pytest.raises(ValueError, match="a packed row takes no past_key_values"):
        model(input_ids=torch.tensor([[1, 2]]), cu_seq_lens_q=torch.tensor([0, 1, 2]), past_key_values=cache)


def test_neither_or_both_inputs_are_refused() -> None:
    model = language_model()
    ids = torch.tensor([[1, 2]])
    with pytest.raises(ValueError, match="exactly one of input_ids or inputs_embeds"):
        model()
    with pytest.raises(ValueError, match="exactly one of input_ids or inputs_embeds"):
        model(input_ids=ids, inputs_embeds=model.get_input_embeddings()(ids))


def test_token_ids_and_their_embeddings_give_the_same_logits() -> None:
    model = language_model()
    ids = torch.tensor([TWEETS[2]])
    embeds = model.get_input_embeddings()(ids)
    assert torch.equal(model(inputs_embeds=embeds).logits, model(input_ids=ids).logits)


def test_outputs_have_per_layer_shapes() -> None:
    out = language_model("eager")(**pad(TWEETS, "right"), output_hidden_states=True, output_attentions=True)
    assert [tuple(state.shape) for state in out.hidden_states] == [(5, 8, 32)] * 4
    assert [tuple(weights.shape) for weights in out.attentions] == [(5, h, 8, 8) for h in (2, 4, 4)]
    torch.testing.assert_close(out.attentions[0][2].sum(-1), torch.ones(2, 8), **CLOSE)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_generation_is_equal_for_all_caches(implementation: str) -> None:
    model = language_model(implementation)
    prompt = pad(TWEETS[:3], "left")
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    plain = model.generate(**prompt, **options, use_cache=False)
    assert plain.shape == (3, 14)
    for cache in ("dynamic", "static"):
        assert torch.equal(model.generate(**prompt, **options, cache_implementation=cache), plain), cache


def test_only_the_asked_logits_are_computed() -> None:
    model = language_model()
    ids = torch.tensor([TWEETS[2]])
    whole = model(input_ids=ids).logits
    torch.testing.assert_close(model(input_ids=ids, logits_to_keep=2).logits, whole[:, -2:], **CLOSE)
    rows = torch.tensor([1, 5])
    torch.testing.assert_close(model(input_ids=ids, logits_to_keep=rows).logits, whole[:, rows], **CLOSE)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_bfloat16_is_finite_and_near_float32(implementation: str) -> None:
    model = language_model(implementation)
    exact = model(**pack(TWEETS).inputs()).logits
    rounded = model.to(torch.bfloat16)(**pack(TWEETS).inputs()).logits
    assert rounded.dtype == torch.bfloat16
    assert torch.isfinite(rounded).all()
    assert (rounded.float() - exact).abs().max() < 0.15 * exact.std()


def test_autocast_trains_float32_weights() -> None:
    model = language_model("varlen").train()
    batch = pack(TWEETS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(**batch.inputs(), labels=batch.input_ids).loss
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.dtype == torch.float32
        assert torch.isfinite(parameter.grad).all(), name
