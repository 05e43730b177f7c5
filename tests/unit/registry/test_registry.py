import dataclasses
import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.support.fakes import card, synthetic
from tests.support.registry_damage import remove
from tweetelm.config.overrides import override
from tweetelm.config.train_config import TrainConfig, to_dict
from tweetelm.registry import (
    Card,
    current_version,
    list_versions,
    promote,
    publish,
    resolve,
    rollback,
    tasks,
)
from tweetelm.registry.store import open_store


def test_published_version_resolves_to_its_files(registry: str, source: Path, tmp_path: Path) -> None:
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


def test_card_has_the_hash_of_every_file(registry: str, source: Path, tmp_path: Path) -> None:
    publish(source, card(), registry=registry)
    folder = resolve("hate", registry=registry, cache=tmp_path / "cache")
    written = Card.from_json((folder / "card.json").read_text())
    assert written.files.keys() == {path.name for path in folder.iterdir()} - {"card.json"}
    for name, digest in written.files.items():
        assert digest == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_publishing_again_is_idempotent(registry: str, source: Path) -> None:
    first = publish(source, card(), registry=registry)
    again = publish(source, card(created="2026-12-24T10:00:00+00:00"), registry=registry)
    assert again.version == first.version
    assert again.reason == "it is already the current version"
    assert len(list_versions("hate", registry=registry)) == 1


def test_weights_or_temperature_change_the_version(registry: str, source: Path, another: Path) -> None:
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
    pointer = open_store(registry).read("hate/current.json")
    assert pointer is not None
    assert json.loads(pointer.data) == {"version": second.version, "previous": first.version, "metric": 0.7}


def test_models_of_different_data_do_not_compete_by_metric(
    registry: str, source: Path, another: Path
) -> None:
    publish(source, card(0.7), registry=registry)
    other = card(0.6, data={**card().data, "md5": "f" * 32})
    assert publish(another, other, registry=registry).promoted


def test_sample_model_never_replaces_real_data_model(registry: str, source: Path, another: Path) -> None:
    real = publish(source, card(0.5), registry=registry)
    for replace in (False, True):
        sample = publish(another, synthetic(0.99), registry=registry, replace=replace)
        assert not sample.promoted
        assert "synthetic sample" in sample.reason
    assert current_version("hate", registry=registry) == real.version


def test_real_data_model_always_replaces_sample_model(registry: str, source: Path, another: Path) -> None:
    publish(source, synthetic(0.99), registry=registry)
    assert publish(another, card(0.5), registry=registry).promoted


def test_a_model_of_shuffled_labels_is_never_served(registry: str, source: Path) -> None:
    config = override(TrainConfig(task="hate"), {"data.shuffle_labels": True})
    control = card(config=to_dict(config))
    published = publish(source, control, registry=registry, replace=True)
    assert not published.promoted
    assert "shuffled labels" in published.reason
    assert current_version("hate", registry=registry) is None


def test_second_rollback_undoes_the_first(registry: str, source: Path, another: Path) -> None:
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
    with pytest.raises(FileNotFoundError, match=f"expected one of {known}"):
        resolve("hate", registry=registry, version=version)
    with pytest.raises(FileNotFoundError, match=f"expected one of {known}"):
        promote("hate", version, registry=registry)
    assert current_version("hate", registry=registry) == known


def test_stored_versions_of_which_none_was_promoted_are_named(registry: str, source: Path) -> None:
    version = publish(source, card(), registry=registry).version
    remove(registry, "hate/current.json")
    with pytest.raises(FileNotFoundError, match=f"choose one of {version} with"):
        resolve("hate", registry=registry)


def test_tasks_of_a_registry_are_those_with_versions(registry: str, source: Path) -> None:
    assert tasks(registry) == []
    for name in ("zebra", "stance", "hate"):
        publish(source, dataclasses.replace(card(), task=name), registry=registry)
    assert tasks(registry) == ["hate", "stance", "zebra"]


def test_unknown_task_error_lists_published_tasks(registry: str, source: Path) -> None:
    publish(source, card(), registry=registry)
    with pytest.raises(FileNotFoundError, match=r"hat has no published version .*it has versions of hate\)"):
        resolve("hat", registry=registry)


def test_invalid_checkpoint_is_not_published(registry: str, source: Path) -> None:
    (source / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"not a checkpoint: it lacks tokenizer.json"):
        publish(source, card(), registry=registry)
    assert open_store(registry).folders("hate") == []


def test_a_version_is_a_name_and_not_a_path(source: Path, tmp_path: Path) -> None:
    published = publish(source, card(), registry=str(tmp_path / "models"))
    outside = tmp_path / "models" / "hate" / "card.json"
    outside.write_text((Path(published.path) / "card.json").read_text())
    with pytest.raises(FileNotFoundError, match="no version"):
        resolve("hate", registry=str(tmp_path / "models"), version="..")
