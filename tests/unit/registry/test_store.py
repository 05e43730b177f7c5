"""Folder and object storage give the same guarantees."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.registry_damage import remove
from tweetelm.files import file_lock
from tweetelm.files.hashing import sha256
from tweetelm.registry.store import Store, open_store
from tweetelm.registry.store.filesystem import FolderStore

VERSION = "hate/versions/20261121-abc123"
FILES = {"config.json": b"{}", "evaluation/metrics.json": b"[1]"}
CARD = {"card.json": b'{"a card": 1}'}


@pytest.fixture
def store(registry: str) -> Store:
    return open_store(registry)


def digests(content: dict[str, bytes]) -> dict[str, str]:
    return {name: sha256(data) for name, data in content.items()}


def put(store: Store, files: dict[str, bytes] = FILES) -> bool:
    return store.put(VERSION, {**files, **CARD}, digests(files))


def test_a_new_folder_has_its_files(store: Store, tmp_path: Path) -> None:
    assert store.folders("hate/versions") == [] == store.files(VERSION)
    assert put(store)
    assert store.folders("hate/versions")[-1:] == ["20261121-abc123"]
    assert store.files(VERSION) == ["card.json", "config.json", "evaluation/metrics.json"]
    for name, data in (FILES | CARD).items():
        held = store.read(f"{VERSION}/{name}")
        assert held is not None
        assert held.data == data
        assert store.digest(f"{VERSION}/{name}") == sha256(data)
        store.copy(f"{VERSION}/{name}", tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == data


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.read("hate/current.json") is None
    assert store.digest("hate/current.json") is None
    assert store.folders("nothing") == []


def test_a_name_is_given_once(store: Store) -> None:
    other = {**FILES, "config.json": b"{2}"}
    assert put(store)
    assert not put(store)
    assert not put(store, other)
    assert store.digest(f"{VERSION}/config.json") == sha256(b"{}")


def test_file_changed_while_published_makes_no_version(store: Store) -> None:
    with pytest.raises(ValueError, match="changed during publishing"):
        store.put(VERSION, {**FILES, **CARD}, {**digests(FILES), "config.json": "0" * 64})
    assert store.read(f"{VERSION}/card.json") is None
    assert put(store, FILES | {"config.json": b"{2}"}) == isinstance(store, FolderStore)


def test_a_large_file_arrives_whole(store: Store, tmp_path: Path) -> None:
    large = os.urandom(20 << 20)
    (tmp_path / "large").write_bytes(large)
    content = {"model.safetensors": tmp_path / "large", **CARD}
    assert store.put(VERSION, content, {"model.safetensors": sha256(large)})
    assert store.digest(f"{VERSION}/model.safetensors") == sha256(large)
    with pytest.raises(ValueError, match="large changed during publishing"):
        store.put(f"{VERSION}4", content, {"model.safetensors": "0" * 64})
    assert store.read(f"{VERSION}4/card.json") is None


def test_unfinished_publication_is_completed(registry: str) -> None:
    store = open_store(registry)
    assert put(store)
    if isinstance(store, FolderStore):
        store.place(VERSION).rename(store.place("hate/versions/.20261121-abc123.00ff"))
    else:
        remove(registry, f"{VERSION}/card.json")
        assert not put(store, FILES | {"config.json": b"{2}"})
    assert put(store)
    assert store.digest(f"{VERSION}/config.json") == sha256(b"{}")


def test_a_file_is_replaced_only_by_who_has_seen_it(store: Store) -> None:
    assert not store.swap("hate/current.json", open_store_held(b"never there"), b"1")
    assert store.swap("hate/current.json", None, b"1")
    assert not store.swap("hate/current.json", None, b"2")
    seen = store.read("hate/current.json")
    assert store.swap("hate/current.json", seen, b"2")
    assert not store.swap("hate/current.json", seen, b"3")
    now = store.read("hate/current.json")
    assert now is not None
    assert now.data == b"2"


def open_store_held(data: bytes) -> object:
    from tweetelm.registry.store import Held

    return Held(data, {"e_tag": f'"{sha256(data)[:32]}"'})


def test_no_update_is_lost_when_many_count_at_the_same_time(store: Store) -> None:
    def count_to_five(_: int) -> None:
        done = 0
        while done < 5:
            held = store.read("hate/current.json")
            number = json.loads(held.data) if held else 0
            done += store.swap("hate/current.json", held, json.dumps(number + 1).encode())

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(count_to_five, range(6)))
    held = store.read("hate/current.json")
    assert held is not None
    assert json.loads(held.data) == 30


def test_failed_copy_leaves_nothing(tmp_path: Path) -> None:
    store = FolderStore(str(tmp_path / "models"))
    with pytest.raises(FileNotFoundError):
        store.put(VERSION, {**FILES, "gone": tmp_path / "gone"}, {**digests(FILES), "gone": "0"})
    assert list((tmp_path / "models" / "hate" / "versions").iterdir()) == []


def test_only_stale_staging_folders_are_removed(tmp_path: Path) -> None:
    store = FolderStore(str(tmp_path))
    versions = tmp_path / "hate" / "versions"
    for name, age in ((".20261120-aaaaaa.00112233", 90_000), (".20261121-bbbbbb.00112233", 60)):
        (versions / name).mkdir(parents=True)
        os.utime(versions / name, (time.time() - age, time.time() - age))
    assert put(store)
    assert sorted(path.name for path in versions.iterdir()) == [
        ".20261121-bbbbbb.00112233",
        "20261121-abc123",
    ]


def test_files_of_a_dead_lock_holder_are_removed(tmp_path: Path) -> None:
    (tmp_path / "hate").mkdir()
    (tmp_path / "hate" / ".current.json.00ff00ff").write_text("{")
    assert FolderStore(str(tmp_path)).swap("hate/current.json", None, b"1")
    assert sorted(path.name for path in (tmp_path / "hate").iterdir()) == [".lock", "current.json"]


HOLD = "import fcntl, sys; f = open(sys.argv[1], 'ab'); fcntl.flock(f, 2); print(1, flush=True); input()"


def test_lock_timeout_names_the_lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / ".lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with (
            pytest.raises(TimeoutError, match=r"\.lock is held by another process"),
            file_lock.locked(lock, 0.05),
        ):
            pass
        holder.kill()
        holder.wait()
        with file_lock.locked(lock, 0.05):
            pass


def test_home_and_file_url_registries_are_folders(tmp_path: Path) -> None:
    assert open_store(f"file://{tmp_path}").address("hate") == str(tmp_path / "hate")
    assert open_store("~/models").address("hate") == str(Path.home() / "models" / "hate")


def test_a_bucket_that_does_not_exist_cannot_be_written(remote: str) -> None:
    with pytest.raises(FileNotFoundError, match="the bucket does not exist"):
        open_store("s3://nobody/models").swap("hate/current.json", None, b"1")


def test_an_address_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(OSError, match=r"ftp://x/models cannot be reached"):
        open_store("ftp://x/models")
