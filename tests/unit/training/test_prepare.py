"""Preparing a run: rows, tokenizer, base model and the initial classifier."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from tests.support.checkpoints import LINES, checkpoint, edit_json, small_tokenizer
from tests.support.openelm_models import language_model, small_config
from tweetelm.config.overrides import override
from tweetelm.config.train_config import ModelConfig, TrainConfig
from tweetelm.data import hold_out, load
from tweetelm.openelm.checkpoints.hub import Checkpoint
from tweetelm.openelm.checkpoints.loading import read_config
from tweetelm.openelm.checkpoints.tokenizer import save_tokenizer, train_tokenizer
from tweetelm.tasks import DEEPFAKE, HATE
from tweetelm.training.base_model import find_base_model, first_layers
from tweetelm.training.build_classifier import build_state
from tweetelm.training.phases import plan
from tweetelm.training.prepare import Prepared, prepare

CPU = torch.device("cpu")


def configuration(task: Any = "hate", **changes: Any) -> TrainConfig:
    values = {"data.root": "sample", "model.name": "scratch-1m", "model.max_tokens": 48}
    return override(TrainConfig(task=task), values | changes)


def weights(prepared: Prepared, config: TrainConfig) -> torch.Tensor:
    state = build_state(config, prepared, CPU)
    return torch.cat([weight.detach().flatten() for weight in state.model.parameters()])


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(configuration())


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Save a small language model and its tokenizer in a folder."""
    tokenizer = small_tokenizer()
    language_model(vocab_size=tokenizer.get_vocab_size()).save_pretrained(tmp_path / "base")
    save_tokenizer(tokenizer, tmp_path / "base", 64)
    return tmp_path / "base"


@pytest.mark.parametrize("task", [HATE, DEEPFAKE])
def test_a_scratch_preset_needs_nothing_but_the_data(task: Any) -> None:
    prepared = prepare(configuration(task.name))
    splits = load(task, "sample")
    assert prepared.base is None
    assert prepared.provenance.synthetic
    assert len(prepared.train) + sum(prepared.left_out.values()) == len(splits["train"])
    assert prepared.validation.labels.tolist() == splits["validation"]["label"]
    assert max(prepared.train.lengths + prepared.validation.lengths) <= 48
    assert {tweet[0] for tweet in prepared.train.sequences(range(len(prepared.train)))} == {1}


def test_preparing_twice_gives_the_same(prepared: Prepared) -> None:
    again = prepare(configuration())
    assert again.tokenizer == prepared.tokenizer
    assert again.train.ids.tolist() == prepared.train.ids.tolist()
    assert again.train.labels.tolist() == prepared.train.labels.tolist()


def test_a_limit_is_a_seeded_choice_of_rows(prepared: Prepared) -> None:
    few, again, other = (
        prepare(configuration(**{"data.limit": 20, "loop.seed": seed})).train for seed in (0, 0, 1)
    )
    assert len(few) == 20
    assert few.ids.tolist() == again.ids.tolist() != other.ids.tolist()
    assert len(prepare(configuration(**{"data.limit": 10**6})).train) == len(prepared.train)


def test_shuffled_labels_are_the_same_labels_at_other_rows(prepared: Prepared) -> None:
    shuffled = prepare(configuration(**{"data.shuffle_labels": True}))
    ours, theirs = shuffled.train.labels.tolist(), prepared.train.labels.tolist()
    assert ours != theirs
    assert sorted(ours) == sorted(theirs)
    assert shuffled.train.ids.tolist() == prepared.train.ids.tolist()
    assert shuffled.validation.labels.tolist() == prepared.validation.labels.tolist()


def test_workers_share_initial_weights_and_seeds_differ(prepared: Prepared) -> None:
    config, other = configuration(), configuration(**{"loop.seed": 1})
    assert torch.equal(weights(prepared, config), weights(prepared, config))
    assert not torch.equal(weights(prepared, config), weights(prepared, other))


def test_the_model_is_a_classifier_of_the_task(prepared: Prepared) -> None:
    config = configuration(**{"model.pooling": "mean", "model.dropout": 0.25})
    model = build_state(config, prepared, CPU).model
    assert model.config.id2label == {0: "not-hate", 1: "hate"}
    assert model.config.label2id == {"not-hate": 0, "hate": 1}
    assert model.score.weight.shape == (2, 128)
    assert (model.config.classifier_pooling, model.dropout.p) == ("mean", 0.25)
    assert model.config.vocab_size == Tokenizer.from_str(prepared.tokenizer).get_vocab_size()


def test_activation_checkpointing_and_head_mode_are_set_up(prepared: Prepared) -> None:
    config = configuration(**{"model.activation_checkpointing": True, "optim.mode": "head"})
    state = build_state(config, prepared, CPU)
    model = state.model
    assert all(layer.gradient_checkpointing for layer in model.transformer.layers)
    state.enter(plan(prepared.train.lengths, config).phases[0], config.optim)
    assert [name for name, weight in model.named_parameters() if weight.requires_grad] == ["score.weight"]


def test_training_starts_from_a_folders_weights(base: Path) -> None:
    config = configuration("deepfake", **{"model.name": str(base), "model.pooling": "mean"})
    prepared = prepare(config)
    assert prepared.base == Checkpoint(folder=base)
    assert Tokenizer.from_str(prepared.tokenizer).get_vocab() == small_tokenizer().get_vocab()
    model = build_state(config, prepared, CPU).model
    assert model.config.id2label == {0: "human", 1: "bot"}
    assert model.config.classifier_pooling == "mean"
    vocabulary = small_tokenizer().get_vocab_size()
    for name, weight in language_model(vocab_size=vocabulary).transformer.named_parameters():
        assert torch.equal(model.transformer.get_parameter(name), weight)


def test_random_init_keeps_shape_and_tokenizer(base: Path) -> None:
    config = configuration(**{"model.name": str(base), "model.init": "random", "loop.seed": 1})
    prepared = prepare(config)
    assert prepared.base is None
    model = build_state(config, prepared, CPU).model
    assert model.config.model_dim == 32
    stored = language_model(vocab_size=model.config.vocab_size).transformer.token_embeddings.weight
    assert not torch.equal(model.transformer.token_embeddings.weight, stored)


def test_a_fine_tuned_folder_keeps_its_classifier(tmp_path: Path) -> None:
    config = configuration(**{"model.name": str(checkpoint(tmp_path))})
    score = build_state(config, prepare(config), CPU).model.score.weight
    assert score.abs().max() > 0.5  # the fixture's weights are 20 times those of a new classifier


def test_folder_missing_on_the_worker_is_an_error(base: Path) -> None:
    config = configuration(**{"model.name": str(base)})
    prepared = prepare(config)
    base.rename(base.parent / "elsewhere")
    with pytest.raises(FileNotFoundError, match=f"the base model's folder {base} does not exist on this"):
        build_state(config, prepared, CPU)


def test_a_named_tokenizer_wins_over_the_models_own(base: Path, tmp_path: Path) -> None:
    train_tokenizer(LINES[:1] * 3, 270).save(str(tmp_path / "mine.json"))
    config = configuration(**{"model.name": str(base), "model.tokenizer": str(tmp_path / "mine.json")})
    assert find_base_model(config, []).tokenizer.get_vocab_size() <= 270
    own = configuration(**{"model.name": str(base)})
    assert find_base_model(own, []).tokenizer.get_vocab_size() > 270


def test_missing_tokenizer_error_names_the_flag(base: Path) -> None:
    (base / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no tokenizer; name one with --model.tokenizer"):
        prepare(configuration(**{"model.name": str(base)}))


def test_a_tokenizer_larger_than_the_embedding_is_refused(base: Path) -> None:
    edit_json(base / "config.json", vocab_size=300)
    with pytest.raises(ValueError, match=r"the tokenizer has \d+ tokens, .* only 300 embeddings; set"):
        prepare(configuration(**{"model.name": str(base)}))


def test_tweets_longer_than_the_context_are_refused(base: Path) -> None:
    edit_json(base / "config.json", max_context_length=47)
    config = configuration(**{"model.name": str(base)})
    with pytest.raises(ValueError, match=r"max_tokens is 48, but .* reads at most 47 tokens; lower"):
        find_base_model(config, [])
    assert small_config().max_context_length >= 48


def test_first_layers_of_a_folder_have_its_weights(base: Path) -> None:
    config = configuration(**{"model.name": str(base), "model.layers": 2})
    prepared = prepare(config)
    assert prepared.architecture.num_transformer_layers == 2
    assert prepared.cost.parameters < prepare(configuration(**{"model.name": str(base)})).cost.parameters
    model = build_state(config, prepared, CPU).model
    assert len(model.transformer.layers) == model.config.num_transformer_layers == 2
    whole = language_model(vocab_size=model.config.vocab_size).transformer
    for name, weight in model.transformer.named_parameters():
        assert torch.equal(whole.get_parameter(name), weight)


def test_first_layers_of_a_preset_are_random_too() -> None:
    config = configuration(**{"model.layers": 1})
    assert len(build_state(config, prepare(config), CPU).model.transformer.layers) == 1


def test_first_layers_have_the_rates_of_a_whole_model() -> None:
    config = configuration(**{"model.layers": 2, "optim.layer_decay": 0.5, "optim.lr": 1.0})
    prepared = prepare(config)
    state = build_state(config, prepared, CPU)
    state.enter(plan(prepared.train.lengths, config).phases[0], config.optim)
    assert {group["peak_lr"] for group in state.optimizer.param_groups} == {1.0, 0.5, 0.25, 0.125}


def test_a_lora_run_of_the_first_layers_resumes(base: Path, tmp_path: Path) -> None:
    config = configuration(**{"model.name": str(base), "model.layers": 2, "optim.mode": "lora"})
    prepared = prepare(config)
    state, resumed = (build_state(config, prepared, CPU) for _ in range(2))
    state.enter(plan(prepared.train.lengths, config).phases[0], config.optim)
    with torch.no_grad():
        state.model.score.weight.add_(1)
    state.save(tmp_path / "saved", {})
    resumed.restore(tmp_path / "saved")
    assert torch.equal(state.model.score.weight, resumed.model.score.weight)
    assert read_config(tmp_path / "saved").num_transformer_layers == 2


def test_classifier_of_another_layer_is_not_reused(tmp_path: Path) -> None:
    folder = str(checkpoint(tmp_path))
    config = configuration(**{"model.name": folder, "model.layers": 2})
    prepared = prepare(config)
    assert prepared.head == "the checkpoint's classifier reads layer 3, not layer 2"
    assert build_state(config, prepared, CPU).model.score.weight.abs().max() < 0.5
    assert not prepare(configuration(**{"model.name": folder, "model.layers": 3})).head


@pytest.mark.parametrize(("name", "total"), [("scratch-1m", 4), ("openelm-270m", 16)])
def test_more_layers_than_a_preset_has_are_refused(name: str, total: int) -> None:
    message = f"layers is 17, but {name} has {total} layers; expected 1 to {total}, or omit"
    with pytest.raises(ValueError, match=message):
        first_layers(ModelConfig(name=name, layers=17))


def test_more_layers_than_a_folder_has_are_refused(base: Path) -> None:
    config = configuration(**{"model.name": str(base), "model.layers": 4})
    with pytest.raises(ValueError, match=f"layers is 4, but {base} has 3 layers; expected 1 to 3"):
        find_base_model(config, [], weights=False)


def test_unlabeled_tweets_are_encoded_without_labels(prepared: Prepared, tmp_path: Path) -> None:
    splits, file = load(HATE, "sample"), tmp_path / "more.txt"
    own = ["a tweet of nobody", "another tweet of nobody", "a tweet of nobody"]
    others = [splits[name]["text"][0] for name in ("train", "validation", "test")]
    file.write_text("\n".join([*own, *(text.replace("\n", " ") for text in others)]))
    with_text = prepare(configuration(**{"pretrain.text": (str(file),), "pretrain.epochs": 1}))
    assert with_text.unlabeled is not None
    assert len(with_text.unlabeled) == 2
    source = with_text.provenance.unlabeled
    assert source is not None
    assert source.left_out == {"empty": 0, "in validation or test": 2, "duplicates": 2}
    assert with_text.train.ids.tolist() == prepared.train.ids.tolist()
    assert (prepared.unlabeled, prepared.provenance.unlabeled) == (None, None)


def test_texts_of_rows_held_out_are_left_out(tmp_path: Path) -> None:
    rule, file = "generator:rnn", tmp_path / "more.txt"
    held = hold_out(load(DEEPFAKE, "sample"), rule)["held-out"]["text"]
    file.write_text("\n".join(["a tweet of nobody", *(text.replace("\n", " ") for text in held[:5])]))
    changes = {"data.hold_out": rule, "pretrain.text": (str(file),), "pretrain.epochs": 1}
    source = prepare(configuration("deepfake", **changes)).provenance.unlabeled
    assert source is not None
    assert (source.rows, source.left_out["in validation or test"]) == (1, 5)
