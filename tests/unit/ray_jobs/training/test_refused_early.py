"""What can be refused before training is: names, places, labels; and a classifier that cannot be kept."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ray_jobs.training.preflight import check_out, check_places, check_space
from tests.support.checkpoints import checkpoint, edit_json
from tests.support.fakes import BASE, ShoutPredictor, card, dataset
from tests.support.places import ROOT
from tweetelm.config.train_config import DataConfig, ModelConfig, RunConfig, TrainConfig
from tweetelm.evaluation.evaluate import calibrated, evaluate
from tweetelm.openelm.flops import Cost
from tweetelm.registry import Base
from tweetelm.registry.model_card import render
from tweetelm.tasks import DEEPFAKE, HATE
from tweetelm.training.build_classifier import build_state
from tweetelm.training.head_reuse import HEAD, head_mismatch
from tweetelm.training.prepare import prepare

CPU = torch.device("cpu")
TWO = ["a good day", "a bad day"]


def write_hate(root: Path, train: str, validation: str) -> Path:
    """A dataset with these label files, one character a row."""
    (root / "hate").mkdir(parents=True)
    (root / "hate" / "mapping.txt").write_text("0\tnot-hate\n1\thate\n")
    for name, labels in (("train", train), ("val", validation), ("test", "01")):
        texts = "".join(f"{name} tweet {row} {TWO[int(label)]}\n" for row, label in enumerate(labels))
        (root / "hate" / f"{name}_text.txt").write_text(texts)
        (root / "hate" / f"{name}_labels.txt").write_text("".join(f"{label}\n" for label in labels))
    return root


def configuration(root: str, **model: Any) -> TrainConfig:
    settings: dict[str, Any] = {"name": "scratch-1m", "max_tokens": 24, **model}
    return TrainConfig(task="hate", data=DataConfig(root=root), model=ModelConfig(**settings))


def run(module: str, *flags: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *flags],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        check=False,
    )


@pytest.mark.parametrize("module", ["train", "tune", "seeds"])
@pytest.mark.parametrize("name", ["ünï", "..", "x" * 101])
def test_invalid_name_is_rejected_by_the_command(module: str, name: str, tmp_path: Path) -> None:
    place = str(tmp_path / "runs")
    told = run(f"ray_jobs.{module}", "--task", "hate", "--name", name, "--run.storage", place)
    assert told.returncode == 2
    assert told.stderr.startswith("error: --name is '")
    assert len(told.stderr.splitlines()) == 1
    assert not Path(place).exists()


def test_invalid_setting_is_a_one_line_error(tmp_path: Path) -> None:
    told = run("ray_jobs.train", "--task", "hate", "--optim.lr", "-1")
    assert told.returncode == 2
    assert "optim.lr is -1.0; expected a positive number" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("labels", ["0000", "1111"])
def test_single_label_training_is_rejected(tmp_path: Path, labels: str) -> None:
    root = str(write_hate(tmp_path / "my data", labels, "01"))
    absent = "hate" if labels[0] == "0" else "not-hate"
    with pytest.raises(
        ValueError, match=rf"none of the 4 training rows in .* is labeled {absent}; .*--root '"
    ):
        prepare(configuration(root))


def test_limit_that_leaves_one_label_is_an_error(tmp_path: Path) -> None:
    config = configuration(str(write_hate(tmp_path, "000001", "01")))
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, limit=1))
    with pytest.raises(ValueError, match=r"training rows of --data\.limit 1 in"):
        prepare(config)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_single_label_split_is_noted_on_the_card(split: str) -> None:
    mixed, lone = [("A B", 1), ("a b", 0), ("A b", 1)], [("A B", 1), ("a b", 1)]
    rows = {"validation": mixed, "test": mixed, split: lone}
    data = dataset(HATE, **rows)
    found = calibrated(evaluate(ShoutPredictor(HATE), data, ["validation", "test"]), data, "validation")
    made = card(metrics=found.metrics)
    notice = f"every {split} row has the same label: its scores are not meaningful"
    assert made.notices == [notice]
    assert f"> **{notice}**" in render(made)
    assert card().notices == []


def test_unwritable_folders_are_detected_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    config = TrainConfig(task="hate", run=RunConfig(registry=str(tmp_path / "file" / "models")))
    with pytest.raises(
        OSError, match=r"cannot publish to .*file/models .*--run\.registry, or do not publish"
    ):
        check_places(config)
    check_places(dataclasses.replace(config, run=dataclasses.replace(config.run, publish=False)))
    with pytest.raises(OSError, match=r"cannot write .*file/x .*choose another with --out"):
        check_out(str(tmp_path / "file" / "x"), "--out")


def test_disk_check_includes_the_published_model(tmp_path: Path) -> None:
    size = Cost(parameters=10**18, embedding=0, linear=0, last_layer_saved=0)
    config = TrainConfig(task="hate", run=RunConfig(storage="s3://x/y", registry=str(tmp_path)))
    with pytest.raises(OSError, match=r"GB free; a published model needs up to .*--run\.registry"):
        check_space(config, size)


def test_unwritable_registry_fails_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    flags = ["--task", "hate", "--data.root", "sample", "--model.name", "scratch-1m", "--name", "x"]
    flags += [f"--run.registry={tmp_path}/file/models", f"--run.storage={tmp_path}/runs"]
    told = run("ray_jobs.train", *flags)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("error: cannot publish to ")
    assert len(told.stderr.splitlines()) == 1
    assert not (tmp_path / "runs" / "x").exists()


REVERSED = {"id2label": {"0": "hate", "1": "not-hate"}, "label2id": {"hate": 0, "not-hate": 1}}


@pytest.mark.parametrize(
    ("file", "changes", "reason"),
    [
        (
            "config.json",
            REVERSED,
            "the checkpoint's labels are hate, not-hate; the labels of hate are not-hate, hate",
        ),
        ("config.json", {"id2label": None, "label2id": None}, "the checkpoint's labels are LABEL_0, LABEL_1"),
        ("encoding.json", {"task": "spam"}, "the checkpoint was trained for spam, not for hate"),
        ("encoding.json", {"task": None}, "the checkpoint's task is unknown"),
    ],
)
def test_head_of_other_labels_is_replaced(
    tmp_path: Path, file: str, changes: dict[str, Any], reason: str
) -> None:
    base = checkpoint(tmp_path / "base")
    assert head_mismatch(base, HATE) == ""
    edit_json(base / file, **changes)
    assert reason in head_mismatch(base, HATE)


def test_checkpoint_of_another_task_gets_a_new_head(tmp_path: Path) -> None:
    base = checkpoint(tmp_path / "base", DEEPFAKE, head=3.0)
    config = configuration("sample", name=str(base))
    prepared = prepare(config)
    assert prepared.head == "the checkpoint's labels are human, bot; the labels of hate are not-hate, hate"
    one, two = (build_state(config, prepared, CPU).model.state_dict() for _ in range(2))
    stored = load_file(base / "model.safetensors")
    assert torch.equal(one[HEAD], two[HEAD]), "every worker starts from the same"
    assert not torch.equal(one[HEAD], stored[HEAD])
    assert all(torch.equal(one[key], stored[key]) for key in stored if key != HEAD)


def test_checkpoint_of_the_same_task_keeps_its_head(tmp_path: Path) -> None:
    base = checkpoint(tmp_path / "base", head=3.0)
    config = configuration("sample", name=str(base))
    prepared = prepare(config)
    assert prepared.head == ""
    model = build_state(config, prepared, CPU).model
    assert torch.equal(model.state_dict()[HEAD], load_file(base / "model.safetensors")[HEAD])


def test_checkpoint_with_more_labels_can_be_fine_tuned(tmp_path: Path) -> None:
    base = checkpoint(tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    save_file({**weights, HEAD: torch.ones(3, weights[HEAD].shape[1])}, base / "model.safetensors")
    edit_json(
        base / "config.json", id2label={"0": "a", "1": "b", "2": "c"}, label2id={"a": 0, "b": 1, "c": 2}
    )
    config = configuration("sample", name=str(base))
    model = build_state(config, prepare(config), CPU).model
    assert model.score.weight.shape[0] == 2


def test_new_head_is_noted_on_the_card() -> None:
    made = card(base=Base(**BASE, head="the checkpoint's labels are human, bot"))
    assert "a new classifier: the checkpoint's labels are human, bot" in render(made)
    assert "a new classifier" not in render(card())
