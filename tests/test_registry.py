import dataclasses
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest
import tyro
from huggingface_hub import ModelCard

from tests.fakes import FakeProvenance, checkpoint
from tweetelm.config import TrainConfig, identity, override
from tweetelm.registry import (
    Base,
    Card,
    current_version,
    git_state,
    list_versions,
    make_card,
    promote,
    publish,
    read_card,
    resolve,
    rollback,
)
from tweetelm.registry.__main__ import main
from tweetelm.registry.readme import render, reproduce
from tweetelm.registry.store import Store, check_files
from tweetelm.tasks import SYNTHETIC_NOTICE

CREATED = datetime.fromisoformat("2026-11-21T10:00:00+00:00")
BASE = Base(
    name="openelm-270m",
    init="pretrained",
    source="apple/OpenELM-270M",
    revision="abc",
    weights_sha256="1" * 64,
    tokenizer_sha256="2" * 64,
)


def card(validation: float = 0.7, **changes: Any) -> Card:
    metrics = {"validation": {"macro_f1": validation}, "test": {"macro_f1": 0.5, "n": 4}}
    made = make_card(
        TrainConfig(task="hate"),
        provenance=FakeProvenance(),
        base=BASE,
        metrics=metrics,
        git={"commit": "c0ffee", "dirty": False},
        created=CREATED,
    )
    return dataclasses.replace(made, **changes)


def synthetic(validation: float = 0.7) -> Card:
    return card(validation, data={**card().data, "synthetic": True})


@pytest.fixture(params=["local", "memory"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "models") if request.param == "local" else f"memory://{uuid.uuid4().hex}/models"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "checkpoint")


@pytest.fixture
def another(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "another", weights=b"other weights")


def test_a_published_checkpoint_resolves_to_a_folder_with_its_files(
    registry: str, source: Path, tmp_path: Path
) -> None:
    evaluation = tmp_path / "evaluation"
    evaluation.mkdir()
    (evaluation / "metrics.json").write_text("{}")
    published = publish(source, card(), registry=registry, evaluation=evaluation)
    folder = resolve("hate", registry=registry, cache=tmp_path / "cache")
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    needed = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "encoding.json"}
    assert files == needed | {"card.json", "README.md", "evaluation/metrics.json"}
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert published.promoted
    assert folder.name == published.version == current_version("hate", registry=registry)
    assert re.fullmatch(r"20261121-[0-9a-f]{6}", published.version)


def test_the_card_of_a_version_knows_the_hash_of_every_other_file(
    registry: str, source: Path, tmp_path: Path
) -> None:
    publish(source, card(), registry=registry)
    folder = resolve("hate", registry=registry, cache=tmp_path / "cache")
    written = Card.from_json((folder / "card.json").read_text())
    assert written.files.keys() == {path.name for path in folder.iterdir()} - {"card.json"}
    for name, digest in written.files.items():
        assert digest == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_publishing_the_same_content_again_on_another_day_stores_nothing_new(
    registry: str, source: Path
) -> None:
    first = publish(source, card(), registry=registry)
    again = publish(source, card(created="2026-12-24T10:00:00+00:00"), registry=registry)
    assert again.version == first.version
    assert again.reason == "it is the current version already"
    assert len(list_versions("hate", registry=registry)) == 1


def test_other_weights_or_another_temperature_are_another_version(
    registry: str, source: Path, another: Path
) -> None:
    versions = {
        publish(source, card(), registry=registry).version,
        publish(another, card(), registry=registry).version,
        publish(source, card(temperature=1.5), registry=registry).version,
    }
    assert len(versions) == 3 == len(list_versions("hate", registry=registry))


def test_a_worse_model_is_stored_but_not_promoted(registry: str, source: Path, another: Path) -> None:
    best = publish(source, card(0.7123), registry=registry)
    worse = publish(another, card(0.6987), registry=registry)
    assert not worse.promoted
    for words in (
        "0.7123",
        "0.6987",
        best.version,
        "macro_f1",
        "--run.replace",
        f"promote hate {worse.version}",
    ):
        assert words in worse.reason
    assert current_version("hate", registry=registry) == best.version
    assert {c.version for c in list_versions("hate", registry=registry)} == {best.version, worse.version}


def test_a_worse_model_replaces_a_better_one_when_told_to(registry: str, source: Path, another: Path) -> None:
    publish(source, card(0.7), registry=registry)
    assert publish(another, card(0.6), registry=registry, replace=True).promoted


def test_a_better_or_equal_model_replaces_the_incumbent(registry: str, source: Path, another: Path) -> None:
    first = publish(source, card(0.7), registry=registry)
    second = publish(another, card(0.7), registry=registry)
    assert second.promoted
    pointer = Store.open(registry).read_text("hate/current.json")
    assert json.loads(pointer or "") == {"version": second.version, "previous": first.version, "metric": 0.7}


def test_models_of_different_data_do_not_compete_by_metric(
    registry: str, source: Path, another: Path
) -> None:
    publish(source, card(0.7), registry=registry)
    other = card(0.6, data={**card().data, "md5": "f" * 32})
    assert publish(another, other, registry=registry).promoted


def test_a_model_of_the_synthetic_sample_never_replaces_one_of_real_data(
    registry: str, source: Path, another: Path
) -> None:
    real = publish(source, card(0.5), registry=registry)
    for replace in (False, True):
        sample = publish(another, synthetic(0.99), registry=registry, replace=replace)
        assert not sample.promoted
        assert "synthetic sample" in sample.reason
    assert current_version("hate", registry=registry) == real.version


def test_a_model_of_real_data_always_replaces_one_of_the_synthetic_sample(
    registry: str, source: Path, another: Path
) -> None:
    publish(source, synthetic(0.99), registry=registry)
    assert publish(another, card(0.5), registry=registry).promoted


def test_a_model_of_shuffled_labels_is_never_served(registry: str, source: Path) -> None:
    config = override(TrainConfig(task="hate"), {"data.shuffle_labels": True})
    control = card(config=dataclasses.asdict(config))
    published = publish(source, control, registry=registry, replace=True)
    assert not published.promoted
    assert "shuffled labels" in published.reason
    assert current_version("hate", registry=registry) is None


def test_rollback_serves_the_previous_version_and_a_second_one_undoes_it(
    registry: str, source: Path, another: Path
) -> None:
    first = publish(source, card(0.6), registry=registry).version
    second = publish(another, card(0.7), registry=registry).version
    assert rollback("hate", registry=registry) == first == current_version("hate", registry=registry)
    assert rollback("hate", registry=registry) == second == current_version("hate", registry=registry)


def test_promoting_the_current_version_keeps_the_previous_one(
    registry: str, source: Path, another: Path
) -> None:
    first = publish(source, card(0.6), registry=registry).version
    second = publish(another, card(0.7), registry=registry).version
    promote("hate", second, registry=registry)
    assert rollback("hate", registry=registry) == first


def test_rollback_without_a_previous_version_says_what_to_do(registry: str, source: Path) -> None:
    publish(source, card(), registry=registry)
    with pytest.raises(ValueError, match=r"no previous version in .*registry list"):
        rollback("hate", registry=registry)


def test_an_empty_registry_says_how_to_fill_it(registry: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"ray_jobs.train --task hate.*make demo"):
        resolve("hate", registry=registry)


@pytest.mark.parametrize("version", ["20200101-000000", "../../../etc"])
def test_an_unknown_version_is_answered_with_those_there_are(
    registry: str, source: Path, version: str
) -> None:
    known = publish(source, card(), registry=registry).version
    with pytest.raises(FileNotFoundError, match=f"there are {known}"):
        resolve("hate", registry=registry, version=version)
    with pytest.raises(FileNotFoundError, match=f"there are {known}"):
        promote("hate", version, registry=registry)
    assert current_version("hate", registry=registry) == known


def test_stored_versions_of_which_none_was_promoted_are_named(registry: str, source: Path) -> None:
    version = publish(source, card(), registry=registry).version
    store = Store.open(registry)
    store.fs.rm_file(store.path("hate/current.json"))
    with pytest.raises(FileNotFoundError, match=f"choose one of {version} with"):
        resolve("hate", registry=registry)


def test_an_unknown_task_is_answered_with_those_there_are(registry: str) -> None:
    with pytest.raises(ValueError, match="no task is called 'hat'; there are hate, deepfake"):
        resolve("hat", registry=registry)


def test_a_folder_that_is_no_checkpoint_is_refused_and_nothing_is_written(
    registry: str, source: Path
) -> None:
    (source / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no checkpoint: it lacks tokenizer.json"):
        publish(source, card(), registry=registry)
    assert Store.open(registry).folders("hate") == []


def test_a_copy_that_fails_half_way_leaves_no_version_and_no_rubbish(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "models")
    with pytest.raises(FileNotFoundError):
        store.put(
            "hate/versions/20261121-abc123", {"config.json": b"{}", "model.safetensors": tmp_path / "gone"}
        )
    assert list((tmp_path / "models" / "hate" / "versions").iterdir()) == []


def test_what_a_crash_left_of_a_version_is_none_and_is_published_over(registry: str, source: Path) -> None:
    store = Store.open(registry)
    version = publish(source, card(), registry=registry).version
    store.fs.rm_file(store.path(f"hate/versions/{version}/card.json"))
    store.fs.rm_file(store.path("hate/current.json"))
    if store.local:
        Path(store.path(f"hate/versions/{version}")).rename(store.path(f"hate/versions/.{version}.0123abcd"))
    assert list_versions("hate", registry=registry) == []
    assert publish(source, card(), registry=registry).version == version
    assert [c.version for c in list_versions("hate", registry=registry)] == [version]


def test_on_object_storage_the_card_is_written_last(tmp_path: Path) -> None:
    store = Store.open(f"memory://{uuid.uuid4().hex}")
    with pytest.raises(FileNotFoundError):
        store.put("v", {"card.json": b"{}", "model.safetensors": tmp_path / "gone"})
    assert store.read_text("v/card.json") is None


def test_a_version_is_a_name_and_not_a_path(source: Path, tmp_path: Path) -> None:
    published = publish(source, card(), registry=str(tmp_path / "models"))
    outside = tmp_path / "models" / "hate" / "card.json"
    outside.write_text((Path(published.path) / "card.json").read_text())
    with pytest.raises(FileNotFoundError, match="no version"):
        resolve("hate", registry=str(tmp_path / "models"), version="..")


def test_two_publishers_of_the_same_version_both_succeed(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    for _ in range(2):
        store.put("v", {"card.json": b"{}"})
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_a_remote_version_is_downloaded_once(source: Path, tmp_path: Path) -> None:
    registry = f"memory://{uuid.uuid4().hex}"
    publish(source, card(), registry=registry)
    folder = resolve("hate", registry=registry, cache=tmp_path / "cache")
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert resolve("hate", registry=registry, cache=tmp_path / "cache") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_a_remote_version_that_was_damaged_is_refused(source: Path, tmp_path: Path) -> None:
    registry = f"memory://{uuid.uuid4().hex}"
    published = publish(source, card(), registry=registry)
    with fsspec.open(f"{published.path}/model.safetensors", "wb") as file:
        file.write(b"weightz")
    with pytest.raises(ValueError, match=r"model.safetensors has sha256 .* damaged"):
        resolve("hate", registry=registry, cache=tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("b")
    with pytest.raises(ValueError, match="a has sha256"):
        check_files(tmp_path, {"a": "0"})


def test_a_card_survives_json_and_later_fields_are_passed_over() -> None:
    first = card(threshold=0.85, temperature=1.3, files={"config.json": "1" * 64})
    assert Card.from_json(first.to_json()) == first
    assert Card.from_json(json.dumps(json.loads(first.to_json()) | {"later": 1})) == first


@pytest.mark.parametrize("text", ["[]", "{}", '{"task": "hate"}'])
def test_json_that_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no model card: it lacks .*created"):
        Card.from_json(text)


@pytest.mark.parametrize(
    "metrics", [{}, {"test": {"macro_f1": 0.5}}, {"validation": {"macro_f1": float("nan")}}]
)
def test_a_card_needs_the_headline_metric_on_validation(metrics: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"macro_f1 on validation is (None|nan)"):
        make_card(TrainConfig(task="hate"), provenance=FakeProvenance(), base=BASE, metrics=metrics, git=None)


def test_a_card_records_libraries_and_settings() -> None:
    made = card()
    assert made.libraries.keys() >= {"torch", "transformers", "tokenizers", "datasets", "tweetelm", "python"}
    assert made.text == made.config["text"]
    assert made.max_tokens == 256
    assert made.created == "2026-11-21T10:00:00+00:00"


def test_git_state_is_the_commit_and_whether_files_differ(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    (tmp_path / "a").write_text("a")
    git("add", "a")
    git("commit", "-m", "a")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "a").write_text("b")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": True}


def test_the_readme_is_a_hugging_face_model_card() -> None:
    header = ModelCard(render(card(version="20261121-abc123"))).data.to_dict()
    assert header["pipeline_tag"] == "text-classification"
    assert header["library_name"] == "transformers"
    assert header["license"] == "other"
    assert header["base_model"] == "apple/OpenELM-270M"
    assert {"openelm", "hate"} <= set(header["tags"])


def test_a_local_folder_is_not_named_as_a_base_model_on_the_hub() -> None:
    local = Base(**{**BASE, "source": "/home/me/openelm", "revision": None})
    assert "base_model" not in render(card(base=local))


def test_the_readme_says_what_the_model_cannot_do_and_how_it_was_made() -> None:
    text = render(card(threshold=0.85))
    for words in (
        "Not for automated moderation",
        "CC BY-NC 4.0",
        "at least 0.85",
        "| validation | – | 0.700 |",
    ):
        assert words in text
    assert 'pipeline("text-classification", model="FOLDER", trust_remote_code=True)' in text
    assert "python -m ray_jobs.train --task hate\n" in text


def test_the_readme_carries_the_notices() -> None:
    marked = dataclasses.replace(synthetic(), base=Base(**{**BASE, "init": "random"}))
    text = render(marked)
    assert f"> **{SYNTHETIC_NOTICE}**" in text
    assert "> **random weights: nothing of Apple's pretraining**" in text
    assert "base_model" not in text
    assert SYNTHETIC_NOTICE not in render(card())


def test_the_command_of_a_card_gives_the_same_configuration_back() -> None:
    changes = {
        "data.root": "my data",
        "data.drop_overlap": False,
        "data.shuffle_labels": True,
        "text.mask_links": False,
        "model.name": "scratch-1m",
        "optim.lr": 2.5e-4,
        "loop.batch_tokens": 8192,
        "loop.patience": 2,
        "run.workers": 4,
    }
    config = override(TrainConfig(task="deepfake", name="mine"), changes)
    command = shlex.split(reproduce(dataclasses.asdict(config)))
    assert command[:3] == ["python", "-m", "ray_jobs.train"]
    assert identity(tyro.cli(TrainConfig, args=command[3:])) == identity(config)


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["registry", *arguments])
    main()


def test_list_shows_every_version_and_marks_the_served_one(
    registry: str,
    source: Path,
    another: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_main(monkeypatch, "list", "--registry", registry)
    assert "nothing is published" in capsys.readouterr().out
    served = publish(source, card(0.7), registry=registry).version
    other = publish(another, synthetic(0.6), registry=registry).version
    run_main(monkeypatch, "list", "--registry", registry)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert re.search(
        rf"^\*  hate/{served} +macro_f1 +0\.7000 +0\.5000 +openelm-270m +0{{8}}", "\n".join(lines), re.M
    )
    assert re.search(rf"^   hate/{other} .*synthetic", "\n".join(lines), re.M)


def test_show_promote_and_rollback_from_the_command_line(
    registry: str,
    source: Path,
    another: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    best = publish(source, card(0.7), registry=registry).version
    worse = publish(another, card(0.6), registry=registry).version
    run_main(monkeypatch, "show", "hate", "--registry", registry)
    assert Card.from_json(capsys.readouterr().out) == read_card("hate", registry=registry, version=best)
    run_main(monkeypatch, "promote", "hate", worse, "--registry", registry)
    assert current_version("hate", registry=registry) == worse
    run_main(monkeypatch, "rollback", "hate", "--registry", registry)
    assert current_version("hate", registry=registry) == best


def test_a_mistake_on_the_command_line_is_one_line_and_a_failure(tmp_path: Path) -> None:
    source = Path(__file__).parent.parent / "src"
    result = subprocess.run(
        [sys.executable, "-m", "tweetelm.registry", "show", "hate", "--registry", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    assert result.returncode == 1
    assert result.stderr.startswith("nothing is published for hate")
    assert len(result.stderr.splitlines()) == 1
