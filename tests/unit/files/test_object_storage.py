"""Folders and object storage behave the same; files at a URL are downloaded once per machine."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_jobs.run_dir import claim
from ray_jobs.training.run_storage import RunStorage
from tweetelm.config.train_config import DataConfig, ModelConfig, RunConfig, TrainConfig
from tweetelm.data import SAMPLE, load, provenance
from tweetelm.data.load import folder
from tweetelm.files import object_storage
from tweetelm.files.download_cache import cached
from tweetelm.tasks import TASKS
from tweetelm.tracking.trackers import HISTORY, History, read_history
from tweetelm.training.base_model import find_weights, localize

HATE = TASKS["hate"]
FETCH = """
import sys, time
from tweetelm.files import object_storage
from tweetelm.files.download_cache import cached

def slow(*arguments):
    print("fetching", end=" ")
    time.sleep(0.5)
    fetch(*arguments)

fetch, object_storage.fetch = object_storage.fetch, slow
print(cached(sys.argv[1]))
"""


@pytest.fixture(params=["folder", "objects"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder or URL."""
    return str(tmp_path / "place") if request.param == "folder" else request.getfixturevalue("remote")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def data(remote: str) -> str:
    """The URL of a copy of the embedded sample."""
    object_storage.send(folder(HATE, SAMPLE), f"{remote}/hate")
    return remote


def fetched(home: Path) -> list[Path]:
    return sorted((home / ".cache" / "tweetelm" / "fetched").glob("[0-9a-f]*"))


def test_last_write_wins_and_leaves_no_other_file(place: str) -> None:
    assert object_storage.read(f"{place}/a/b.json") is None
    object_storage.write(f"{place}/a/b.json", b"1")
    object_storage.write(f"{place}/a/b.json", b"22")
    assert object_storage.read(f"{place}/a/b.json") == b"22"
    assert list(object_storage.listed(place)) == ["a/b.json"]


def test_folder_round_trip_skips_links(place: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "a.txt").write_text("a")
    (source / "b c%20d.txt").write_text("b")
    (source / "latest").symlink_to(source / "inner")
    (source / "latest.txt").symlink_to(source / "inner" / "a.txt")
    object_storage.send(source, place)
    object_storage.fetch(place, tmp_path / "copy")
    copied = {p.relative_to(tmp_path / "copy").as_posix(): p.read_text() for p in files(tmp_path / "copy")}
    assert copied == {"inner/a.txt": "a", "b c%20d.txt": "b"}
    object_storage.remove(place)
    object_storage.remove(place)
    assert object_storage.listed(place) == {}
    with pytest.raises(FileNotFoundError, match="does not exist"):
        object_storage.fetch(place, tmp_path / "nothing")


def files(where: Path) -> Iterator[Path]:
    return (path for path in where.rglob("*") if path.is_file())


@pytest.mark.slow  # pyarrow retries for 6 s
def test_unreachable_storage_error_says_what_to_check(remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(OSError, match=r"s3://bucket/.*cannot be reached: .*AWS_ENDPOINT_URL"):
        object_storage.read(f"{remote}/run.json")


def test_a_bucket_that_is_not_there_names_the_flag(remote: str) -> None:
    config = TrainConfig(task="hate", name="x", run=RunConfig(storage="s3://no-such-bucket/runs"))
    with pytest.raises(OSError, match=r"(?s)no-such-bucket.*--run\.storage"):
        claim(config)


@pytest.mark.parametrize("url", ["az://bucket/runs", "https://example.org/runs"])
def test_a_scheme_that_ray_could_not_write_either_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be used: .*expected a folder, s3://BUCKET/FOLDER"):
        object_storage.read(url)


def test_a_run_behind_a_url_keeps_its_name_for_itself(remote: str) -> None:
    config = TrainConfig(task="hate", name="x", run=RunConfig(storage=f"{remote}/"))
    assert config.folder == f"{remote}/x"
    claim(config)
    claim(config)
    with pytest.raises(ValueError, match=r"data\.root: data -> sample"):
        claim(TrainConfig(task="hate", name="x", data=DataConfig(root="sample"), run=config.run))


def test_data_behind_a_url_are_the_same_data_and_fetched_once(data: str, home: Path) -> None:
    assert load(HATE, data)["test"]["text"] == load(HATE, SAMPLE)["test"]["text"]
    (copy,) = fetched(home)
    before = (copy / "files" / "train_text.txt").stat().st_mtime_ns
    found = provenance(HATE, data)
    assert found == provenance(HATE, SAMPLE).__class__(**{**vars(provenance(HATE, SAMPLE)), "root": data})
    assert fetched(home) == [copy]
    assert (copy / "files" / "train_text.txt").stat().st_mtime_ns == before


def test_a_copy_that_was_damaged_here_is_fetched_again(data: str, home: Path) -> None:
    load(HATE, data)
    (copy,) = fetched(home)
    (copy / "files" / "train_text.txt").write_text("half a fi")
    assert provenance(HATE, data).synthetic
    assert fetched(home) == [copy]


def test_data_that_change_there_are_fetched_anew(data: str, home: Path) -> None:
    load(HATE, data)
    texts = load(HATE, SAMPLE)["test"]["text"]
    changed = "\n".join(["another", *texts[1:]]) + "\n"
    object_storage.write(f"{data}/hate/test_text.txt", changed.encode())
    assert load(HATE, data)["test"]["text"][0] == "another"
    assert len(fetched(home)) == 2


def test_concurrent_processes_download_once(data: str, home: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "-c", FETCH, f"{data}/hate"]
    started = [subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [process.communicate(timeout=60)[0].split() for process in started]
    assert sorted(len(answer) for answer in answers) == [1, 1, 1, 2]
    (copy,) = {answer[-1] for answer in answers}
    assert Path(copy) == fetched(home)[0] / "files"
    assert len(list(files(Path(copy)))) == len(list(files(folder(HATE, SAMPLE))))


def test_nothing_appears_when_fetching_breaks_off(
    data: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(place: str, target: Path, names: list[str]) -> None:
        fetch(place, target, names)
        (target / names[0]).write_bytes(b"half")

    fetch = object_storage.fetch
    monkeypatch.setattr(object_storage, "fetch", half)
    with pytest.raises(OSError, match="changed during the download; run the command again"):
        load(HATE, data)
    assert fetched(home) == []


def test_no_data_behind_a_url_says_where_and_how_to_bring_them(remote: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"s3://.*hate does not exist .*; copy the folder that `make"):
        load(HATE, remote)


def test_data_error_names_the_url_not_the_copy(data: str) -> None:
    labels = object_storage.read(f"{data}/hate/val_labels.txt")
    assert labels is not None
    object_storage.write(f"{data}/hate/val_labels.txt", b"7" + labels[1:])
    with pytest.raises(ValueError, match=r"^s3://\S+/hate/val_labels.txt, row 1: the label is '7'"):
        load(HATE, data)


def test_model_download_skips_code_and_pickles(remote: str, tmp_path: Path) -> None:
    source = tmp_path / "model"
    source.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "modeling.py", "pytorch_model.bin"):
        (source / name).write_text(name)
    object_storage.send(source, f"{remote}/openelm-270m")
    config = TrainConfig(task="hate", model=ModelConfig(name=f"{remote}/openelm-270m"))
    found = find_weights(config)
    assert found.repo == f"{remote}/openelm-270m"
    assert {p.name for p in files(found.folder)} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert Path(localize(f"{remote}/openelm-270m/tokenizer.json")).read_text() == "tokenizer.json"
    with pytest.raises(FileNotFoundError, match=r"s3://\S+/other does not exist"):
        find_weights(TrainConfig(task="hate", model=ModelConfig(name=f"{remote}/other")))


def write_steps(storage: RunStorage, begin: int, end: int) -> History:
    storage.restore(begin)
    history = History(storage.path / HISTORY, begin)
    for step in range(begin + 1, end + 1):
        history.log({"loss": 1 / step}, step)
    return history


def test_history_survives_a_move_to_another_machine(remote: str, tmp_path: Path) -> None:
    first = RunStorage(f"{remote}/run")
    killed = write_steps(first, 0, 5)
    first.sync()  # the checkpoint of step 5 was not stored
    killed.finish({})
    second = RunStorage(f"{remote}/run")
    assert second.path != first.path
    write_steps(second, 4, 8).finish({"best": 1.0})
    second.close()
    assert not second.path.exists()
    write_steps(RunStorage(str(tmp_path / "whole")), 0, 8).finish({"best": 1.0})
    assert object_storage.read(f"{remote}/run/{HISTORY}") == (tmp_path / "whole" / HISTORY).read_bytes()


def test_failed_history_upload_is_logged_then_raised(remote: str, caplog: pytest.LogCaptureFixture) -> None:
    here = RunStorage("s3://no-such-bucket/run")
    write_steps(here, 0, 3).finish({})
    with caplog.at_level(logging.WARNING):
        here.sync()
    assert "retrying at the next checkpoint" in caplog.text
    with pytest.raises(OSError, match="cannot be reached"):
        here.close()
    assert len(read_history(here.path / HISTORY)) == 4
    here.folder = f"{remote}/run"  # the storage is reachable again
    here.close()
    assert b'"step": 3' in (object_storage.read(f"{remote}/run/{HISTORY}") or b"")


def test_a_run_that_goes_on_without_its_history_says_so(
    remote: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        RunStorage(f"{remote}/run").restore(7)
    assert "the history starts after step 7" in caplog.text


def test_files_of_other_trackers_come_along_at_the_end(remote: str) -> None:
    here = RunStorage(f"{remote}/run")
    write_steps(here, 0, 1).finish({})
    (here.path / "wandb" / "offline-run-1").mkdir(parents=True)
    (here.path / "wandb" / "offline-run-1" / "run.wandb").write_bytes(b"W&B")
    (here.path / "wandb" / "latest-run").symlink_to(here.path / "wandb" / "offline-run-1")
    here.close()
    assert list(object_storage.listed(f"{remote}/run")) == [HISTORY, "wandb/offline-run-1/run.wandb"]


def test_a_local_run_is_its_own_home(tmp_path: Path) -> None:
    here = RunStorage(str(tmp_path / "run"))
    write_steps(here, 0, 2).finish({})
    here.sync()
    here.close()
    assert json.loads((tmp_path / "run" / HISTORY).read_text().splitlines()[0])["step"] == 1


def test_a_copy_can_be_limited_to_some_files(data: str) -> None:
    copy = cached(f"{data}/hate", ("mapping.txt", "val_*"))
    assert {p.name for p in files(copy)} == {"mapping.txt", "val_labels.txt", "val_text.txt"}
