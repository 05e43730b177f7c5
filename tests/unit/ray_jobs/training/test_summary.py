"""The summary of a finished run: location of the model, and the next commands."""

import dataclasses
import json
import shlex
import shutil
from pathlib import Path

import pytest

from ray_jobs.run_dir import FINISHED_FILE, Finished, claim, read_finished
from ray_jobs.train import train
from ray_jobs.training.summary import summary
from tests.support.fakes import card
from tweetelm.config.train_config import DataConfig, RunConfig, TrainConfig
from tweetelm.files import object_storage
from tweetelm.registry import Published, promote, publish

SCORES = {"test": {"macro_f1": 0.5, "accuracy": 0.5, "auroc": None}}


def configuration(folder: Path, registry: str, **run: object) -> TrainConfig:
    return TrainConfig(
        task="hate",
        name="mine",
        data=DataConfig(root="sample"),
        run=RunConfig(storage=str(folder / "runs"), registry=registry, **run),  # type: ignore[arg-type]
    )


def finish(config: TrainConfig, published: Published | None) -> Finished:
    done = Finished(run="mine", scores=SCORES, notices=["synthetic"])
    if published:
        done = Finished(**{**dataclasses.asdict(done), **dataclasses.asdict(published)})
    claim(config)
    object_storage.write(f"{config.folder}/{FINISHED_FILE}", json.dumps(dataclasses.asdict(done)).encode())
    return done


def commands(told: str) -> list[list[str]]:
    """The "next:" lines as a shell reads them."""
    return [shlex.split(line) for line in told.split("next:\n")[1].splitlines()]


def test_next_commands_are_valid_shell(tmp_path: Path, source: Path) -> None:
    registry = str(tmp_path / "my models")
    config = configuration(tmp_path, registry)
    done = finish(config, publish(source, card(), registry=registry))
    told = summary(config, done)
    assert f"published    {registry}/hate/versions/{done.version} (now served)" in told
    evaluate, show, serve = commands(told)
    version = str(done.version)
    expected = ["python", "-m", "ray_jobs.evaluate", "--task", "hate", "--version", version]
    assert evaluate == [*expected, "--data", "sample", "--registry", registry]
    assert show == ["python", "-m", "tweetelm.registry", "show", "hate", version, "--registry", registry]
    assert serve == ["python", "-m", "serve", "--registry", registry]


def test_the_default_registry_needs_no_flag(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = configuration(tmp_path, "models")
    told = summary(config, finish(config, publish(source, card(), registry="models")))
    assert "published    models/hate/versions/" in told
    assert ["--registry" in line for line in commands(told)] == [False, False, True]


def test_finished_run_shows_its_registry(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, elsewhere = str(tmp_path / "models"), str(tmp_path / "other models")
    done = finish(configuration(tmp_path, there), publish(source, card(), registry=there))
    assert train(configuration(tmp_path, elsewhere)) == 0
    told = capsys.readouterr().out
    assert f"published    {there}/hate/versions/{done.version} (now served)" in told
    assert f"not in {elsewhere}: this run was already published" in told
    assert f"delete {configuration(tmp_path, there).folder}/finished.json" in told
    assert not Path(elsewhere).exists()
    assert all(line[-1] != elsewhere for line in commands(told))


def test_finished_run_shows_the_current_version(tmp_path: Path, source: Path, another: Path) -> None:
    registry = str(tmp_path / "models")
    config = configuration(tmp_path, registry)
    done = finish(config, publish(source, card(0.5), registry=registry))
    better = publish(another, card(0.9), registry=registry).version
    assert f"(stored; {better} is served now)" in summary(config, done)
    promote("hate", str(done.version), registry=registry)
    assert "(now served)" in summary(config, done)
    shutil.rmtree(registry)
    assert "(no longer in the registry)" in summary(config, done)


def test_unpublished_run_says_how_to_publish(tmp_path: Path) -> None:
    config = configuration(tmp_path, str(tmp_path / "models"))
    done = finish(config, None)
    assert "to publish it, delete " in summary(config, done)
    kept = dataclasses.replace(config, run=dataclasses.replace(config.run, publish=False))
    assert "to publish" not in summary(kept, done)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"run": "mine", "scores": [], "notices": []}',
        b'{"run": "mine", "scores": {"test": {}}, "notices": []}',
        b'{"run": "mine", "scores": {"test": 1}, "notices": []}',
        b'{"run": "mine", "scores": {"test": {"macro_f1": "x"}}, "notices": []}',
        b'{"run": "mine", "scores": {}, "notices": [], "version": 7}',
    ],
)
def test_damaged_finished_file_is_an_error(tmp_path: Path, damaged: bytes) -> None:
    config = configuration(tmp_path, "models")
    finish(config, None)
    object_storage.write(f"{config.folder}/{FINISHED_FILE}", damaged)
    with pytest.raises(ValueError, match=r"mine/finished\.json is damaged \(.*delete it and run the command"):
        read_finished(config)


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b"\xff", b"{}", b'{"identity": 3}', b"null"])
def test_damaged_run_file_is_an_error(tmp_path: Path, damaged: bytes) -> None:
    config = configuration(tmp_path, "models")
    claim(config)
    object_storage.write(f"{config.folder}/run.json", damaged)
    with pytest.raises(
        ValueError, match=r"mine/run\.json is damaged \(.*delete it and run the original"
    ) as told:
        train(config)
    assert "\n" not in str(told.value)
