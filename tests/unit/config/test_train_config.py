"""The configuration: checked where it is made, overridden by dotted keys, compared by what is learned."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tweetelm.config.overrides import completed, difference, override
from tweetelm.config.sections import SCRATCH
from tweetelm.config.train_config import (
    DataConfig,
    LoopConfig,
    ModelConfig,
    OptimConfig,
    PretrainConfig,
    RunConfig,
    TrackingConfig,
    TrainConfig,
    check_effects,
    preparation_key,
)
from tweetelm.openelm.presets import PRESETS

BASE = TrainConfig(task="hate")
LEARNT = {
    "task": "deepfake",
    "data.root": "sample",
    "text.mask_links": False,
    "loop.cuda_graphs": True,
    "model.name": "scratch-1m",
    "model.init": "random",
    "model.layers": 12,
    "optim.lr": 1e-4,
    "loop.seed": 1,
    "loop.average": 0.5,
    "pretrain.text": ("more.txt",),
    "pretrain.column": "body",
}
PLACED = {"name": "mine", "run.workers": 4, "run.storage": "s3://bucket/runs", "tracking.wandb": "off"}


def changed(key: str) -> TrainConfig:
    return override(BASE, {key: (LEARNT | PLACED)[key]})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataConfig(limit=0), "data.limit is 0; expected a positive number of rows"),
        (lambda: ModelConfig(name=""), "model.name is empty; expected a preset, a hub id or a folder"),
        (
            lambda: ModelConfig(init="best"),
            "model.init is 'best'; expected one of 'auto', 'pretrained', ",
        ),
        (lambda: ModelConfig(pooling="max"), "model.pooling is 'max'; expected one of 'last', 'mean'"),
        (lambda: ModelConfig(dropout=1.0), "model.dropout is 1.0; expected 0 <= dropout < 1"),
        (lambda: ModelConfig(layers=0), "model.layers is 0; expected at least 1, or omit it to use all"),
        (lambda: ModelConfig(max_tokens=1), "model.max_tokens is 1; expected at least 2"),
        (
            lambda: ModelConfig(name="scratch-1m", init="pretrained"),
            "scratch-1m has no published weights; omit --model.init pretrained, or use an openelm-*",
        ),
        (lambda: OptimConfig(lr=0.0), "optim.lr is 0.0; expected a positive number such as 3e-5"),
        (lambda: OptimConfig(mode="half"), "optim.mode is 'half'; expected one of 'full', 'head'"),
        (lambda: OptimConfig(schedule="cosin"), "optim.schedule is 'cosin'; expected one of 'cosine', 'lin"),
        (
            lambda: OptimConfig(class_weights="yes"),
            "optim.class_weights is 'yes'; expected one of 'none', ",
        ),
        (lambda: OptimConfig(warmup=1.0), "optim.warmup is 1.0; expected 0 <= warmup < 1"),
        (lambda: OptimConfig(label_smoothing=-0.1), "optim.label_smoothing is -0.1; expected 0 <= label_sm"),
        (lambda: OptimConfig(beta2=1.0), "optim.beta2 is 1.0; expected 0 <= beta2 < 1"),
        (lambda: OptimConfig(weight_decay=-1.0), "optim.weight_decay is -1.0; expected 0 <= weight_decay"),
        (lambda: OptimConfig(layer_decay=0.0), "optim.layer_decay is 0.0; expected 0 < layer_decay <= 1"),
        (lambda: OptimConfig(clip=0.0), "optim.clip is 0.0; expected a positive gradient norm"),
        (lambda: LoopConfig(average=1.5), "loop.average is 1.5; expected a share of the steps, 0 to 1"),
        (lambda: LoopConfig(average=-0.1), "loop.average is -0.1; expected a share of the steps, 0 to 1"),
        (lambda: PretrainConfig(text=("",)), "pretrain.text is ('',); expected names of files"),
        (lambda: PretrainConfig(text="a.txt"), "pretrain.text is 'a.txt'; expected a list of files"),
        (lambda: PretrainConfig(column=""), "pretrain.column is empty; expected the name of a column"),
        (lambda: LoopConfig(epochs=0), "loop.epochs is 0; expected at least 1"),
        (lambda: LoopConfig(batch_tokens=63), "loop.batch_tokens is 63; expected at least 64 tokens"),
        (lambda: LoopConfig(micro_tokens=1), "loop.micro_tokens is 1; expected at least 64 tokens"),
        (lambda: LoopConfig(validate_every=0), "loop.validate_every is 0; expected at least 1"),
        (lambda: LoopConfig(checkpoint_every=0), "loop.checkpoint_every is 0; expected at least 1"),
        (lambda: LoopConfig(patience=0), "loop.patience is 0; expected at least 1"),
        (
            lambda: LoopConfig(precision="fp16"),
            "loop.precision is 'fp16'; expected one of 'auto', 'bf16', ",
        ),
        (lambda: RunConfig(workers=0), "run.workers is 0; expected at least 1"),
        (
            lambda: RunConfig(workers=2, min_workers=3),
            "run.min_workers is 3; expected 1 to 2, which is run.workers",
        ),
        (
            lambda: RunConfig(workers=2, min_workers=0),
            "run.min_workers is 0; expected 1 to 2, which is run.workers",
        ),
        (lambda: RunConfig(cpus=0), "run.cpus is 0; expected at least 1"),
        (lambda: RunConfig(retries=-1), "run.retries is -1; expected 0 or more"),
        (lambda: RunConfig(gpu="maybe"), "run.gpu is 'maybe'; expected one of 'auto', 'yes', 'no'"),
        (
            lambda: TrackingConfig(wandb="on"),
            "tracking.wandb is 'on'; expected one of 'auto', 'online', ",
        ),
        (
            lambda: TrainConfig(task="irony"),
            "there is no task or file 'irony'; expected hate, deepfake, or a task file",
        ),
        (
            lambda: TrainConfig(task="hate", loop=LoopConfig(micro_tokens=128)),
            "loop.micro_tokens (128) is less than model.max_tokens (256): the longest tweet would not fit; "
            "raise --loop.micro-tokens or lower --model.max-tokens",
        ),
    ],
)
def test_bad_value_error_says_what_was_expected(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        make()
    assert message in str(refused.value)


def test_values_at_the_edge_are_accepted() -> None:
    OptimConfig(warmup=0.0, label_smoothing=0.0, layer_decay=1.0, weight_decay=0.0, beta1=0.0)
    ModelConfig(dropout=0.0, max_tokens=2)
    LoopConfig(epochs=1, batch_tokens=64, micro_tokens=64, patience=1, validate_every=1, checkpoint_every=1)
    RunConfig(workers=1, retries=0)


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("optim.learning_rate", "did you mean optim."),
        ("optim.lrr", "did you mean optim.lr?"),
        ("optimm.lr", "did you mean optim?"),
        ("loop.epoch", "did you mean loop.epochs?"),
        ("model.max-tokens", "did you mean model.max_tokens?"),
        ("optim.lr.peak", "optim.lr has no parts"),
    ],
)
def test_misspelled_key_error_suggests_the_closest(key: str, suggestion: str) -> None:
    with pytest.raises(ValueError) as refused:
        override(BASE, {key: 1})
    assert str(refused.value).startswith(f"no setting is called {key!r}; ")
    assert suggestion in str(refused.value)


def test_group_cannot_be_replaced_by_a_value() -> None:
    with pytest.raises(
        ValueError, match=r"'optim' is a group of settings, not 3; set one .* as 'optim\.mode'"
    ):
        override(BASE, {"optim": 3})
    assert override(BASE, {"optim": OptimConfig(lr=1.0)}).optim.lr == 1.0


def test_override_changes_only_the_named_settings() -> None:
    new = override(BASE, {"optim.lr": 1e-4, "model.name": "scratch-1m"})
    assert (new.optim.lr, new.model.name) == (1e-4, "scratch-1m")
    assert TrainConfig(task="hate") == BASE
    assert difference(BASE.identity, new.identity) == [
        "model.name: openelm-270m -> scratch-1m",
        "optim.lr: None -> 0.0001",
    ]


def test_override_checks_values_as_the_command_line_does() -> None:
    with pytest.raises(ValueError, match=r"optim\.schedule is 'cosin'"):
        override(BASE, {"optim.schedule": "cosin"})
    with pytest.raises(ValueError, match=r"loop\.micro_tokens \(256\) is less than model\.max_tokens"):
        override(BASE, {"loop.micro_tokens": 256, "model.max_tokens": 300})


def test_missing_setting_in_identity_is_its_default() -> None:
    stored = BASE.identity
    del stored["optim"]["clip"], stored["pretrain"]
    assert difference(completed(stored, BASE.identity), BASE.identity) == []
    changed = override(BASE, {"pretrain.epochs": 2}).identity
    assert difference(completed(stored, BASE.identity), changed) == ["pretrain.epochs: 0 -> 2"]


def test_equal_configurations_have_no_difference() -> None:
    assert difference(BASE.identity, TrainConfig(task="hate").identity) == []


def test_difference_shows_settings_that_only_one_side_has() -> None:
    assert difference({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}) == ["a.c: None -> 2"]
    assert difference({"a": {"b": 1}}, {}) == ["a: {'b': 1} -> None"]


@pytest.mark.parametrize("key", LEARNT)
def test_learning_settings_name_the_run(key: str) -> None:
    assert changed(key).identity != BASE.identity
    assert changed(key).run_name != BASE.run_name
    assert [line.split(":")[0] for line in difference(BASE.identity, changed(key).identity)] == [key]


@pytest.mark.parametrize("key", PLACED)
def test_placement_and_tracking_are_not_identity(key: str) -> None:
    assert changed(key).identity == BASE.identity


def test_names_of_runs_without_later_settings_stay() -> None:
    assert BASE.run_name == "hate-openelm-270m-9da6e87f"
    stored = {"model": {"name": "openelm-270m"}}
    assert difference(stored, {"model": {"name": "openelm-270m", "layers": 12}}) == [
        "model.layers: None -> 12"
    ]


def test_every_setting_is_either_identity_or_placement() -> None:
    fields = {field.name for field in dataclasses.fields(TrainConfig)}
    taught = override(BASE, {"distill.teacher": "v1"})  # without a teacher, names are those of before
    assert fields - taught.identity.keys() == {"name", "run", "tracking"}
    assert fields - BASE.identity.keys() == {"name", "run", "tracking", "distill"}


def test_a_run_is_named_by_task_model_and_identity() -> None:
    task, *model, digest = BASE.run_name.split("-")
    assert (task, "-".join(model)) == ("hate", "openelm-270m")
    assert len(digest) == 8
    assert changed("run.workers").run_name == BASE.run_name
    assert changed("name").run_name == "mine"
    path = override(BASE, {"model.name": "/models/My-Model/"})
    assert path.run_name.startswith("hate-my-model-")


def test_a_run_has_the_same_name_in_another_process() -> None:
    code = "from tweetelm.config.train_config import TrainConfig; print(TrainConfig(task='hate').run_name)"
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)}
    printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert printed.stdout.strip() == BASE.run_name, printed.stderr


@pytest.mark.parametrize(
    ("changes", "rate"),
    [
        ({}, 3e-5),
        ({"model.init": "pretrained"}, 3e-5),
        ({"model.init": "random"}, 1e-3),
        ({"model.name": "scratch-4m"}, 1e-3),
        ({"optim.mode": "head"}, 1e-3),
        ({"optim.mode": "head", "optim.lr": 2e-4}, 2e-4),
        ({"model.init": "random", "optim.lr": 2e-4}, 2e-4),
    ],
)
def test_effective_learning_rate(changes: dict[str, Any], rate: float) -> None:
    assert override(BASE, changes).learning_rate == rate


def test_scratch_presets_have_no_published_weights() -> None:
    assert set(SCRATCH) == {name for name, preset in PRESETS.items() if preset.repo is None}
    for name in PRESETS:
        assert ModelConfig(name=name).random == (name in SCRATCH)


def test_folder_named_scratch_is_not_random() -> None:
    assert not ModelConfig(name="scratch-mine").random
    assert not ModelConfig(name="./scratch-1m").random


def test_parts_are_frozen_and_named() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.optim.lr = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        OptimConfig("full")  # type: ignore[misc]


def test_unlabeled_tweets_without_language_modeling_are_refused() -> None:
    unused = override(BASE, {"pretrain.text": ("more.txt",)})
    with pytest.raises(
        ValueError, match=r"pretrain.text has no effect .*; set --pretrain.epochs to at least 1"
    ):
        check_effects(unused)
    check_effects(override(unused, {"pretrain.epochs": 1}))
    check_effects(BASE)


@pytest.mark.parametrize(
    ("key", "value"),
    [("model.layers", 2), ("pretrain.text", ("more.txt",)), ("pretrain.column", "body"), ("loop.seed", 1)],
)
def test_settings_of_the_data_change_its_key(key: str, value: Any) -> None:
    assert preparation_key(override(BASE, {key: value})) != preparation_key(BASE)
