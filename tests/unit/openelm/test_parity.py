"""This implementation of OpenELM against stored outputs of the reference implementation."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.places import GOLDEN
from tweetelm.openelm import OpenELMForCausalLM
from tweetelm.openelm.packing import pack

TOLERANCE = 1e-5
pytestmark = pytest.mark.parametrize("name", ["tiny_a", "tiny_b"])


def load(name: str, implementation: str = "sdpa") -> tuple[OpenELMForCausalLM, dict[str, NDArray[Any]]]:
    model = OpenELMForCausalLM.from_pretrained(GOLDEN / name, attn_implementation=implementation)
    return model.eval(), dict(np.load(GOLDEN / name / "io.npz"))


def largest_difference(ours: torch.Tensor, golden: NDArray[Any], mask: NDArray[Any]) -> float:
    return float(np.abs(ours.detach().numpy() - golden)[mask.astype(bool)].max())


@pytest.mark.parametrize("implementation", ["sdpa", "eager", "varlen"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_padded_logits_and_hidden_states_agree(name: str, implementation: str, side: str) -> None:
    model, io = load(name, implementation)
    prefix = "left_" if side == "left" else ""
    ids, mask = (torch.tensor(io[f"{prefix}{key}"]) for key in ("input_ids", "attention_mask"))
    out = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    assert largest_difference(out.logits, io[f"{prefix}logits"], mask.numpy()) < TOLERANCE
    if side == "right":
        assert largest_difference(out.hidden_states[-1], io["last_hidden_state"], mask.numpy()) < TOLERANCE


@pytest.mark.parametrize("implementation", ["sdpa", "eager", "varlen"])
def test_packed_logits_agree(name: str, implementation: str) -> None:
    model, io = load(name, implementation)
    rows = [row[:n].tolist() for row, n in zip(io["input_ids"], io["lengths"], strict=True)]
    logits = model(**pack(rows).inputs()).logits[0]
    golden = np.concatenate([row[:n] for row, n in zip(io["logits"], io["lengths"], strict=True)])
    assert largest_difference(logits, golden, np.ones(len(golden))) < TOLERANCE


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_packed_row_does_not_leak_with_default_arguments(name: str, implementation: str) -> None:
    model, io = load(name, implementation)
    rows = [row[:n].tolist() for row, n in zip(io["input_ids"], io["lengths"], strict=True)]
    batch = pack(rows)
    out = model(input_ids=batch.input_ids, position_ids=batch.position_ids)
    golden = np.concatenate([row[:n] for row, n in zip(io["logits"], io["lengths"], strict=True)])
    assert largest_difference(out.logits[0], golden, np.ones(len(golden))) < TOLERANCE
    assert out.past_key_values is None


@pytest.mark.parametrize("implementation", ["sdpa", "eager", "varlen"])
def test_token_by_token_with_a_cache_agrees(name: str, implementation: str) -> None:
    model, io = load(name, implementation)
    length = int(io["lengths"][0])
    ids = torch.tensor(io["input_ids"][:1, :length])
    cache, steps = None, []
    for position in range(length):
        out = model(input_ids=ids[:, position : position + 1], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        steps.append(out.logits[0, 0])
    assert largest_difference(torch.stack(steps), io["logits"][0, :length], np.ones(length)) < TOLERANCE


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_loss_and_gradients_agree(name: str, implementation: str) -> None:
    model, io = load(name, implementation)
    ids, mask = torch.tensor(io["input_ids"]), torch.tensor(io["attention_mask"])
    labels = ids.masked_fill(mask == 0, -100)
    loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    assert loss.item() == pytest.approx(float(io["loss"]), abs=1e-5)
    norms = {
        key.removeprefix("gradnorm/"): float(value)
        for key, value in io.items()
        if key.startswith("gradnorm/")
    }
    ours = {key: p.grad.norm().item() for key, p in model.named_parameters() if p.grad is not None}
    norms.pop("transformer.classifier.weight", None)
    assert ours.keys() == norms.keys()
    for key, norm in norms.items():
        assert ours[key] == pytest.approx(norm, rel=1e-4, abs=1e-6), key
    first = "transformer.layers.0.attn.qkv_proj.weight"
    gradient = dict(model.named_parameters())[first].grad
    assert gradient is not None
    assert float(np.abs(gradient.numpy() - io[f"grad/{first}"]).max()) < TOLERANCE


def test_every_stored_layer_agrees(name: str) -> None:
    model, io = load(name)
    io.setdefault("layer_hidden_states", io["last_hidden_state"][None])  # tiny_b stores only the last state
    mask = torch.tensor(io["attention_mask"])
    out = model(input_ids=torch.tensor(io["input_ids"]), attention_mask=mask, output_hidden_states=True)
    stored = io["layer_hidden_states"]
    for ours, golden in zip(out.hidden_states[-len(stored) :], stored, strict=True):
        assert largest_difference(ours, golden, mask.numpy()) < TOLERANCE
