import uuid
from pathlib import Path

import pytest

from tweetelm.registry.store import Store, check_files


def test_a_copy_that_fails_half_way_leaves_no_version_and_no_rubbish(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "models")
    with pytest.raises(FileNotFoundError):
        store.put(
            "hate/versions/20261121-abc123", {"config.json": b"{}", "model.safetensors": tmp_path / "gone"}
        )
    assert list((tmp_path / "models" / "hate" / "versions").iterdir()) == []


def test_on_object_storage_the_card_is_written_last(tmp_path: Path) -> None:
    store = Store.open(f"memory://{uuid.uuid4().hex}")
    with pytest.raises(FileNotFoundError):
        store.put("v", {"card.json": b"{}", "model.safetensors": tmp_path / "gone"})
    assert store.read_text("v/card.json") is None


def test_two_publishers_of_the_same_version_both_succeed(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    for _ in range(2):
        store.put("v", {"card.json": b"{}"})
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("b")
    with pytest.raises(ValueError, match="a has sha256"):
        check_files(tmp_path, {"a": "0"})
