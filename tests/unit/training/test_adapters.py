"""LoRA: trainable weights, content of a checkpoint, exact resume."""

import sys
from pathlib import Path

import pytest
import torch

from tests.support.training_runs import accuracy, changed, configuration, fresh, rows, run, weights
from tweetelm.config.train_config import TrainConfig
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.predictor import classify_packed
from tweetelm.training.adapters import add_adapters, is_adapter


def lora(**loop: object) -> TrainConfig:
    return changed(configuration(**loop), optim={"mode": "lora", "lora_rank": 4, "lr": 1e-2})


def test_adapters_alone_learn_beside_the_head() -> None:
    data, config = rows(20), lora(epochs=1)
    state = fresh(config)
    before = {name: p.clone() for name, p in state.model.named_parameters()}
    run(state, data, config)
    learned = {name for name, p in state.model.named_parameters() if not torch.equal(p, before[name])}
    assert {name for name in learned if not is_adapter(name)} == {"score.weight"}
    projections = 4 * state.model.config.num_transformer_layers
    assert sum(".lora_B." in name for name in learned) == projections


def test_a_checkpoint_is_the_same_model_without_adapters(tmp_path: Path) -> None:
    data, config = rows(20), lora()
    state = fresh(config)
    run(state, data, config)
    state.save(tmp_path, {})
    loaded = OpenELMForSequenceClassification.from_pretrained(tmp_path, attn_implementation="varlen").eval()
    state.model.eval()
    sequences = data.sequences(range(20))
    ours, theirs = classify_packed(state.model, sequences, 256), classify_packed(loaded, sequences, 256)
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert not any("lora" in name for name, _ in loaded.named_parameters())


@pytest.mark.parametrize("epochs_before", [0, 1])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, epochs_before: int) -> None:
    data, config = rows(60), changed(lora(), pretrain={"epochs": epochs_before})
    straight, interrupted, resumed = fresh(config), fresh(config), fresh(config)
    run(straight, data, config)
    run(interrupted, data, config, steps=4)
    interrupted.save(tmp_path, {})
    resumed.restore(tmp_path)
    run(resumed, data, config)
    assert torch.equal(weights(straight), weights(resumed))


@pytest.mark.slow
def test_it_learns() -> None:
    data = rows(8)
    config = lora(epochs=80, validate_every=80)
    state = fresh(config)
    run(state, data, config)
    assert accuracy(data)(state.model) == {"accuracy": 1.0}  # type: ignore[operator]


def test_without_peft_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    state = fresh(configuration())
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match="pip install peft"):
        add_adapters(state.model, lora().optim)
