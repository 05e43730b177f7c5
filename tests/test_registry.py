import dataclasses
import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.fakes import card, synthetic
from tests.registry_damage import overwrite, remove
from tweetelm.config import TrainConfig
from tweetelm.overrides import override
from tweetelm.registry import (
    Card,
    current_version,
    list_versions,
    promote,
    publish,
    resolve,
    rollback,
)
from tweetelm.registry.card import content_of
from tweetelm.registry.folder import FolderStore
from tweetelm.registry.store import open_store


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
    pointer = open_store(registry).read("hate/current.json")
    assert pointer is not None
    assert json.loads(pointer.data) == {"version": second.version, "previous": first.version, "metric": 0.7}


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
    remove(registry, "hate/current.json")
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
    assert open_store(registry).folders("hate") == []


def test_a_version_is_a_name_and_not_a_path(source: Path, tmp_path: Path) -> None:
    published = publish(source, card(), registry=str(tmp_path / "models"))
    outside = tmp_path / "models" / "hate" / "card.json"
    outside.write_text((Path(published.path) / "card.json").read_text())
    with pytest.raises(FileNotFoundError, match="no version"):
        resolve("hate", registry=str(tmp_path / "models"), version="..")


def test_a_remote_version_is_downloaded_once(remote: str, source: Path, tmp_path: Path) -> None:
    version = publish(source, card(), registry=remote).version
    folder = resolve("hate", registry=remote, cache=tmp_path / "cache")
    remove(remote, f"hate/versions/{version}/model.safetensors")
    assert resolve("hate", registry=remote, cache=tmp_path / "cache") == folder
    assert (folder / "model.safetensors").read_bytes() == b"weights"


@pytest.mark.parametrize("file", ["model.safetensors", "card.json"])
def test_a_download_that_was_damaged_since_is_downloaded_again(
    remote: str, source: Path, tmp_path: Path, file: str
) -> None:
    publish(source, card(), registry=remote)
    good = (resolve("hate", registry=remote, cache=tmp_path / "cache") / file).read_bytes()
    (resolve("hate", registry=remote, cache=tmp_path / "cache") / file).write_bytes(b"{}")
    assert (resolve("hate", registry=remote, cache=tmp_path / "cache") / file).read_bytes() == good


def test_a_changed_file_is_refused_by_name(registry: str, source: Path, tmp_path: Path) -> None:
    version = publish(source, card(), registry=registry).version
    overwrite(registry, f"hate/versions/{version}/model.safetensors", b"weightz")
    with pytest.raises(ValueError, match=r"model.safetensors has sha256 .* damaged.*registry promote hate"):
        resolve("hate", registry=registry, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").rglob("*.safetensors")) == []


def test_a_missing_file_is_refused_by_name(registry: str, source: Path, tmp_path: Path) -> None:
    version = publish(source, card(), registry=registry).version
    remove(registry, f"hate/versions/{version}/encoding.json")
    with pytest.raises(ValueError, match=r"encoding.json is missing.* damaged"):
        resolve("hate", registry=registry, cache=tmp_path / "cache")


def test_an_edited_card_is_refused(registry: str, source: Path, tmp_path: Path) -> None:
    published = publish(source, card(threshold=0.5), registry=registry)
    name = f"hate/versions/{published.version}/card.json"
    held = open_store(registry).read(name)
    assert held is not None
    overwrite(registry, name, held.data.replace(b'"threshold": 0.5', b'"threshold": 0.9'))
    with pytest.raises(ValueError, match=r"card.json was edited"):
        resolve("hate", registry=registry, cache=tmp_path / "cache")
    overwrite(registry, name, b"{")
    with pytest.raises(ValueError, match=r"card.json is damaged"):
        resolve("hate", registry=registry, cache=tmp_path / "cache")


def test_a_version_is_hashed_once_and_again_when_a_file_was_touched(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []

    class Counting(FolderStore):
        def digest(self, name: str) -> str | None:
            hashed.append(name)
            return super().digest(name)

    monkeypatch.setattr("tweetelm.registry.integrity.FolderStore", Counting)
    place = str(tmp_path / "models")
    publish(source, card(), registry=place)
    folders = {resolve("hate", registry=place) for _ in range(3)}
    assert len(hashed) == len(set(hashed)) == 6
    (folders.pop() / "model.safetensors").write_bytes(b"weightz")  # as long as before
    with pytest.raises(ValueError, match="damaged"):
        resolve("hate", registry=place)


def test_a_damaged_version_does_not_stop_the_others(registry: str, source: Path, another: Path) -> None:
    first = publish(source, card(0.6), registry=registry).version
    overwrite(registry, f"hate/versions/{first}/card.json", b"{")
    second = publish(another, card(0.7), registry=registry)
    assert not second.promoted
    assert "cannot be compared with" in second.reason
    assert [each.version for each in list_versions("hate", registry=registry)] == [second.version]
    promote("hate", second.version, registry=registry)
    assert current_version("hate", registry=registry) == second.version


def test_publishing_a_model_again_whose_version_lost_a_file_makes_another_whole_one(
    registry: str, source: Path, tmp_path: Path
) -> None:
    lost = publish(source, card(), registry=registry).version
    remove(registry, f"hate/versions/{lost}/tokenizer.json")
    again = publish(source, card(), registry=registry).version
    assert again.startswith(lost)
    assert resolve("hate", registry=registry, version=again, cache=tmp_path / "cache").name == again


def test_a_damaged_pointer_says_how_to_mend_it(registry: str, source: Path) -> None:
    version = publish(source, card(), registry=registry).version
    overwrite(registry, "hate/current.json", b"{}")
    for read in (current_version, resolve, rollback):
        with pytest.raises(ValueError, match=r"current.json is damaged .*registry promote hate VERSION"):
            read("hate", registry=registry)
    promote("hate", version, registry=registry)
    assert current_version("hate", registry=registry) == version


def test_a_card_that_names_files_outside_its_version_is_refused(remote: str, tmp_path: Path) -> None:
    bad = card(files={"../../escaped": "0" * 64})
    bad = dataclasses.replace(bad, version=f"20261121-{bad.content[:6]}")
    overwrite(remote, f"hate/versions/{bad.version}/card.json", bad.to_json().encode())
    with pytest.raises(ValueError, match=r"names files outside the version: \.\./\.\./escaped"):
        resolve("hate", registry=remote, version=bad.version, cache=tmp_path / "cache")


def test_a_bucket_that_does_not_exist_is_named(remote: str, source: Path) -> None:
    with pytest.raises(OSError, match=r"s3://nobody/models/hate/.*bucket"):
        publish(source, card(), registry="s3://nobody/models")


def test_what_goes_into_a_versions_name_never_changes() -> None:
    """Otherwise every version that was ever published would be refused as edited."""
    written = {"version": "x", "created": "y", "files": {"README.md": "0", "a": "1"}, "metrics": {"k": 0.5}}
    written["a field of later years"] = {2: "a", 10: "b"}
    content = content_of(written)
    assert content == "a56d7cbe74794be7a02b858352c5b5448c9e6c3eb7ac81e2be26f59828e04f3b"
    assert content == content_of(json.loads(json.dumps(written)))
    assert content == content_of({**written, "version": "", "created": "", "files": {"a": "1"}})
    assert content != content_of({**written, "metrics": {"k": 0.6}})
