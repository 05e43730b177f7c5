"""Only unchanged published files are loaded; errors name the changed file."""

import dataclasses
import json
from pathlib import Path

import pytest

from tests.support.fakes import card
from tests.support.registry_damage import overwrite, remove
from tweetelm.registry import current_version, list_versions, promote, publish, resolve, rollback
from tweetelm.registry.card import content_of
from tweetelm.registry.store import open_store
from tweetelm.registry.store.filesystem import FolderStore


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


def test_version_is_rehashed_only_after_changes(
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
    (folders.pop() / "model.safetensors").write_bytes(b"weightz")  # same size as before
    with pytest.raises(ValueError, match="damaged"):
        resolve("hate", registry=place)


def test_a_damaged_version_does_not_stop_the_others(registry: str, source: Path, another: Path) -> None:
    first = publish(source, card(0.6), registry=registry).version
    overwrite(registry, f"hate/versions/{first}/card.json", b"{")
    second = publish(another, card(0.7), registry=registry)
    assert not second.promoted
    assert "cannot be compared with it" in second.reason
    assert [each.version for each in list_versions("hate", registry=registry)] == [second.version]
    promote("hate", second.version, registry=registry)
    assert current_version("hate", registry=registry) == second.version


def test_republishing_repairs_a_damaged_version(registry: str, source: Path, tmp_path: Path) -> None:
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
    """If the digest changed, all existing versions would be refused as edited."""
    written = {"version": "x", "created": "y", "files": {"README.md": "0", "a": "1"}, "metrics": {"k": 0.5}}
    written["a field of later years"] = {2: "a", 10: "b"}
    content = content_of(written)
    assert content == "a56d7cbe74794be7a02b858352c5b5448c9e6c3eb7ac81e2be26f59828e04f3b"
    assert content == content_of(json.loads(json.dumps(written)))
    assert content == content_of({**written, "version": "", "created": "", "files": {"a": "1"}})
    assert content != content_of({**written, "metrics": {"k": 0.6}})
