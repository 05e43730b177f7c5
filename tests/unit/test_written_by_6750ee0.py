"""Checkpoints, run folders and a registry written by commit 6750ee0 still work."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ray_jobs import train
from ray_jobs.training.checkpoints import checkpoint_fault
from serve.api import create_api
from serve.inference import model_loader
from serve.inference.engine import Engine
from tests.support.fake_predictor import classify
from tests.support.old_runs import expected_predictions, search, unpack
from tests.support.places import ROOT
from tools import old_run_data
from tools.old_run_data import FINISHED_SEARCH, TEXTS, flags, train_arguments, tune_arguments
from tweetelm.files import object_storage
from tweetelm.predictor import Predictor
from tweetelm.registry import current_version, previous_version, resolve, rollback
from tweetelm.registry.__main__ import main as registry_main

COMMANDS = {
    "cluster_file": "cluster.config_file",
    "real": "reproduce",
    "spot": "cluster.spot_watcher",
    "stop_workers": "cluster.stop_workers",
}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("old"))


def test_every_checkpoint_predicts_what_it_did(old: Path) -> None:
    answers = expected_predictions(old)
    assert len(answers) >= 6
    for path, expected in answers.items():
        predictor = Predictor.load(old / path, device="cpu", precision="float32")
        predicted = predictor.predict(list(TEXTS))
        assert [p.label for p in predicted] == [label for label, _ in expected], path
        for one, (_, values) in zip(predicted, expected, strict=True):
            assert one.probabilities == pytest.approx(values, abs=1e-6), path


def test_every_checkpoint_of_a_run_counts_as_whole(old: Path) -> None:
    found = [path for path in expected_predictions(old) if path.startswith("runs/")]
    assert [checkpoint_fault(str(old / path)) for path in found] == [""] * len(found)


def test_registry_verifies(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = ["registry", "verify", "--all", "--registry", str(old / "models")]
    monkeypatch.setattr(sys, "argv", line)
    registry_main()  # raises SystemExit if a file differs


def test_current_version_resolves_and_rolls_back(tmp_path: Path) -> None:
    registry = str(unpack(tmp_path) / "models")
    now, before = current_version("hate", registry=registry), previous_version("hate", registry=registry)
    assert now
    assert resolve("hate", registry=registry).name == now
    assert rollback("hate", registry=registry) == before
    assert resolve("hate", registry=registry).name == before


def test_registry_copied_to_object_storage_resolves(old: Path, remote: str, tmp_path: Path) -> None:
    object_storage.send(old / "models", remote)
    now = current_version("hate", registry=remote)
    assert now == current_version("hate", registry=str(old / "models"))
    assert resolve("hate", registry=remote, cache=tmp_path).name == now


def test_service_answers_with_both_versions(old: Path) -> None:
    expected = expected_predictions(old)
    url = str(old / "models")
    for version in (folder.name for folder in (old / "models/hate/versions").iterdir()):
        loaded = model_loader.load(
            ["hate"], url=url, versions={"hate": version}, device="cpu", precision="auto", loaded={}
        )
        engine = Engine({task: model.predictor for task, model in loaded.items()})
        with TestClient(create_api(engine)) as client:
            data = classify(client, model="hate", input=list(TEXTS))["data"]
        assert {one["version"] for one in data} == {version}
        for one, (label, values) in zip(data, expected[f"models/hate/versions/{version}"], strict=True):
            assert (one["label"], one["probs"]) == (label, pytest.approx(values, abs=1e-5))


def places(old: Path) -> list[str]:
    return ["--run.storage", str(old / "runs"), "--run.registry", str(old / "models")]


def test_finished_run_is_not_trained_again(
    old: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run's name contains the hash of its settings, so the hash must not change."""
    monkeypatch.setattr(sys, "argv", ["train", *train_arguments(), *places(old)])
    assert train.main() == 0
    said = capsys.readouterr().out
    assert "hate-tiny-openelm-933fe1dd is already finished: nothing to train" in said
    assert "published" in said


def test_finished_search_is_not_searched_again(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search([*tune_arguments(FINISHED_SEARCH), *places(old)]) == 0
    assert f"{FINISHED_SEARCH} is already finished: nothing to search" in capsys.readouterr().out


def test_search_files_load_under_former_class_names(old: Path) -> None:
    files = list(old.glob("runs/*/*.pkl"))
    assert any(b"ray_jobs.watch" in file.read_bytes() for file in files)
    for file in files:
        with file.open("rb") as stream:
            assert pickle.load(stream), file


def test_every_flag_is_still_taken(old: Path) -> None:
    before = json.loads((old / "flags.json").read_text(encoding="utf-8"))
    assert before.keys() == old_run_data.COMMANDS.keys()
    for module, taken in before.items():
        package, _, name = module.rpartition(".")
        now = flags(f"{package}.{COMMANDS.get(name, name)}", old_run_data.COMMANDS[module])
        assert set(taken) <= set(now), module


@pytest.mark.parametrize(("former", "name"), COMMANDS.items())
def test_former_command_answers_as_the_new_one(former: str, name: str) -> None:
    def answer(module: str) -> tuple[int, str, str]:
        line = [sys.executable, "-m", module, "--help"]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    said = answer(f"ray_jobs.{former}")
    assert said == answer(f"ray_jobs.{name}")
    assert "Traceback" not in said[2]
    assert said[1] or said[2]
