"""Costs computed from a configuration, against built models and counted FLOPs."""

import re
from pathlib import Path

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from tests.support.openelm_models import (
    TWEETS,
    checkpoint_activations,
    classifier,
    language_model,
    small_config,
)
from tweetelm.openelm import OpenELMConfig, OpenELMForCausalLM, OpenELMForSequenceClassification
from tweetelm.openelm.__main__ import main
from tweetelm.openelm.flops import activation_bytes, cost
from tweetelm.openelm.packing import pack
from tweetelm.openelm.presets import PRESETS, preset_config

APPLE = {
    "openelm-270m": 271_527_168,
    "openelm-450m": 457_179_136,
    "openelm-1.1b": 1_079_891_456,
    "openelm-3b": 3_036_647_424,
}
VARIANTS = [
    {},
    {"share_input_output_layers": False},
    {"ffn_with_glu": False},
    {"normalize_qk_projections": False},
    {"num_gqa_groups": 1, "num_transformer_layers": 5},
]


def built(config: OpenELMConfig) -> OpenELMForCausalLM:
    with torch.device("meta"):
        return OpenELMForCausalLM(config)


def products(model: torch.nn.Module, **inputs: object) -> int:
    """FLOPs of the matrix products with weights in a forward pass."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**inputs)
    return sum(n for operation, n in counter.get_flop_counts()["Global"].items() if "mm" in str(operation))


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_are_those_of_the_built_model(name: str) -> None:
    config = preset_config(name)
    model, size = built(config), cost(config)
    assert size.parameters == model.num_parameters()
    assert size.embedding == model.transformer.token_embeddings.weight.numel()
    matrices = [w.numel() for w in model.transformer.layers.parameters() if w.dim() == 2]
    assert size.linear == sum(matrices)


@pytest.mark.parametrize(("name", "parameters"), APPLE.items())
def test_apples_totals(name: str, parameters: int) -> None:
    assert cost(preset_config(name)).parameters == parameters
    assert cost(preset_config(f"{name}-instruct")).parameters == parameters


@pytest.mark.parametrize(("name", "millions"), [("scratch-1m", 1), ("scratch-4m", 4)])
def test_scratch_presets_are_as_large_as_their_names_say(name: str, millions: int) -> None:
    assert cost(preset_config(name)).parameters == pytest.approx(millions * 1e6, rel=0.25)


@pytest.mark.parametrize("changes", VARIANTS)
def test_variants_of_the_architecture_are_counted_as_built(changes: dict[str, object]) -> None:
    config = small_config(**changes)
    assert cost(config).parameters == built(config).num_parameters()


@pytest.mark.parametrize("changes", VARIANTS[:4])
def test_a_forward_pass_takes_the_counted_operations(changes: dict[str, object]) -> None:
    model = language_model(**changes)
    tokens = 24
    counted = products(model.transformer, input_ids=torch.ones(2, tokens // 2, dtype=torch.long))
    assert counted == cost(model.config).flops_per_token * tokens


def test_packed_classifier_saves_the_counted_flops() -> None:
    model = classifier()
    size, tweets, tokens = cost(model.config), len(TWEETS), sum(map(len, TWEETS))
    head = 2 * model.score.weight.numel() * tweets
    counted = products(model, **pack(TWEETS).inputs()) - head
    assert counted == 2 * (size.linear * tokens - size.last_layer_saved * (tokens - tweets))


def test_the_published_figures_of_the_smallest_model() -> None:
    size = cost(preset_config("openelm-270m"))
    assert size.linear == 230_522_880
    assert size.flops_per_token / 1e9 == pytest.approx(0.461, abs=5e-4)
    assert size.last_layer_saved / size.linear == pytest.approx(0.0995, abs=1e-4)
    assert size.training_flops_per_token == 6 * (size.linear - size.last_layer_saved)
    assert size.optimizer_bytes == 16 * 271_527_168


def wide(**changes: object) -> OpenELMConfig:
    shape = {"model_dim": 128, "head_dim": 32, "num_transformer_layers": 4, "ffn_multipliers": [1.0, 4.0]}
    return small_config(**shape | changes)


def kept_by_autograd(tokens: int, *, checkpointing: bool) -> int:
    """Bytes of activations saved for the backward pass, without weights and their copies."""
    config = wide(classifier_pooling="mean")  # the estimate ignores the reduced last layer
    model = OpenELMForSequenceClassification._from_config(config, attn_implementation="varlen").train()
    if checkpointing:
        checkpoint_activations(model)
    sizes: dict[int, int] = {}
    alive = []
    weights = {w.numel() for w in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        alive.append(tensor)
        storage = tensor.untyped_storage()
        if tensor.numel() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    batch = pack([[1] * 61] * (tokens // 61)).inputs()
    with saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", dtype=torch.bfloat16):
        model(**batch)
    return sum(sizes.values())


@pytest.mark.parametrize("checkpointing", [False, True])
def test_activation_memory_grows_with_tokens_as_estimated(checkpointing: bool) -> None:
    config = wide()
    few, many = 4 * 61, 12 * 61
    estimated, again = (activation_bytes(config, n, checkpointing=checkpointing) for n in (many, few))
    measured = kept_by_autograd(many, checkpointing=checkpointing) - kept_by_autograd(
        few, checkpointing=checkpointing
    )
    if checkpointing:  # the estimate also includes the layer that is recomputed
        recomputed = activation_bytes(config, many) - activation_bytes(config, few)
        assert measured < estimated - again < measured + recomputed
    else:
        assert estimated - again == pytest.approx(measured, rel=0.2)


@pytest.mark.parametrize(("checkpointing", "gigabytes"), [(False, 9.95), (True, 6.90)])
def test_memory_estimate_is_within_ten_percent(checkpointing: bool, gigabytes: float) -> None:
    """Measured: 270M, AdamW, bfloat16 autocast, 4,096 packed tokens, resident memory of one process."""
    config = preset_config("openelm-270m")
    estimate = cost(config).optimizer_bytes + activation_bytes(config, 4096, checkpointing=checkpointing)
    assert estimate / 1e9 == pytest.approx(gigabytes, rel=0.1)


def described(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    assert main(["describe", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    return dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in lines if line[2] != " ")


def test_describe_tells_the_facts_of_a_preset(capsys: pytest.CaptureFixture[str]) -> None:
    facts = described(capsys, "openelm-270m")
    assert facts == facts | {
        "weights": "apple/OpenELM-270M",
        "layers": "16",
        "width": "1280",
        "head width": "64",
        "query heads": "12x5 16x7 20x4",
        "key-value heads": "3x5 4x7 5x4",
        "vocabulary": "32,000",
        "context": "2,048 tokens",
        "parameters": "271,527,168 (40,960,000 of them embedding)",
        "forward": "0.461 GFLOP per token",
        "memory to serve": "0.51 GiB bfloat16, 1.01 GiB float32, weights only",
    }
    assert facts["feed-forward"].split()[:2] + facts["feed-forward"].split()[-1:] == ["768", "1024", "5120"]
    assert facts["training"].startswith("1.246 GFLOP per token")
    assert facts["memory to train"].startswith("about 9.")


def test_describe_estimates_memory_for_the_tokens_asked(capsys: pytest.CaptureFixture[str]) -> None:
    few, many = (described(capsys, "scratch-1m", "--tokens", n)["memory to train"] for n in ("64", "65536"))
    assert float(few.split()[1]) < float(many.split()[1])
    assert "65,536 packed tokens" in many


def test_describe_prints_the_work_of_the_first_layers(capsys: pytest.CaptureFixture[str]) -> None:
    whole = described(capsys, "openelm-270m")
    assert whole["work by layers"] == "first 6: 21%, first 10: 46%, first 13: 70%, first 16: 100%"
    part = described(capsys, "openelm-270m", "--layers", "13")
    assert part["layers"] == "the first 13 of 16"
    forward = [float(each["forward"].split()[0]) for each in (part, whole)]
    assert forward[0] / forward[1] == pytest.approx(0.70, abs=0.005)
    assert main(["describe", "openelm-270m", "--layers", "17"]) == 2
    assert "the model has 16 layers; expected 1 to 16" in capsys.readouterr().err


def test_describe_says_that_a_scratch_preset_has_no_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert described(capsys, "scratch-4m")["weights"] == "none; trained from scratch"


def test_describe_reads_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    small_config().save_pretrained(tmp_path)
    facts = described(capsys, str(tmp_path))
    assert facts["weights"] == str(tmp_path)
    assert facts["query heads"] == "2 4x2"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("openelm-720m", "there is no model 'openelm-720m'. Did you mean openelm-270m?"),
        ("./nothing", "nothing/config.json does not exist"),
    ],
)
def test_an_unknown_model_is_an_error_with_status_2(
    capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    assert main(["describe", name]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert message in captured.err


@pytest.mark.parametrize("tokens", ["0", "-5", "many"])
def test_a_number_of_tokens_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], tokens: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["describe", "openelm-270m", f"--tokens={tokens}"])
    assert stopped.value.code == 2
    assert f"'{tokens}' is not a number of tokens" in capsys.readouterr().err
