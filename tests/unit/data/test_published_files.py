"""Additional files in a data folder, and files that differ from the published ones."""

import hashlib
import json
import logging
import shutil
from pathlib import Path

import pytest
import yaml

from tests.support.data_command import run_data
from tests.support.places import ROOT
from tweetelm.data import SAMPLE, load, provenance
from tweetelm.data.load import folder
from tweetelm.data.provenance import folder_md5
from tweetelm.data.published_files import ALL, FILES, PUBLISHED, foreign
from tweetelm.files import object_storage
from tweetelm.tasks import TASKS

STRANGERS = (
    ".DS_Store",
    "Thumbs.db",
    "._train_text.txt",
    "train_text.txt~",
    "#train.csv#",
    ".train.csv.swp",
    "notes.md",
    ".ipynb_checkpoints/train-checkpoint.csv",
    "old/train.csv",
)
TASK_NAMES: tuple[str, ...] = ("hate", "deepfake")


@pytest.fixture(params=TASK_NAMES)
def copy(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A task, and a folder with a copy of its sample."""
    shutil.copytree(folder(TASKS[request.param], SAMPLE), tmp_path / request.param)
    return request.param, tmp_path


def litter(where: Path) -> None:
    for name in STRANGERS:
        (where / name).parent.mkdir(exist_ok=True)
        (where / name).write_bytes(b"\0\1")
    (where / "empty").mkdir()


def test_foreign_files_do_not_change_what_the_data_are(copy: tuple[str, Path]) -> None:
    name, root = copy
    before = provenance(TASKS[name], root)
    litter(root / name)
    assert provenance(TASKS[name], root) == before
    assert before.synthetic, "a copy of the sample is synthetic too"


def test_the_md5_is_that_of_the_files_that_are_read(copy: tuple[str, Path]) -> None:
    name, root = copy
    before = provenance(TASKS[name], root).md5
    for file in FILES[name]:
        kept = (root / name / file).read_bytes()
        (root / name / file).write_bytes(kept + b"\n")
        assert folder_md5(root / name, FILES[name]) != before
        (root / name / file).write_bytes(kept)


def test_foreign_files_are_named_when_data_are_loaded(
    copy: tuple[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    name, root = copy
    (root / name / ".DS_Store").touch()
    with caplog.at_level(logging.WARNING):
        load(TASKS[name], root)
        load(TASKS[name], root)
    assert [record.message for record in caplog.records] == [
        f"{root / name}: ignored files that are not part of the data: .DS_Store"
    ]


def test_check_names_foreign_files(copy: tuple[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    name, root = copy
    (root / name / "a\x1b[31m.csv").touch()
    assert run_data(["check", name, "--root", str(root)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"! {root / name}: ignored files that are not part of the data: a\\x1b[31m.csv"


def test_check_says_first_that_bytes_are_not_the_published(
    copy: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    name, root = copy
    file = root / name / FILES[name][-1]
    file.write_bytes(file.read_bytes()[:-1])
    assert run_data(["check", name, "--root", str(root)]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f"! {root / name / FILES[name][0]} differs from the published file: md5 ")
    assert f"! {file} differs from the published file" in captured.out
    assert "truncated" in captured.err


def test_the_report_as_json_has_the_remarks(
    copy: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    name, root = copy
    (root / name / "Thumbs.db").touch()
    assert run_data(["check", name, "--root", str(root), "--json", "-"]) == 0
    (remark,) = json.loads(capsys.readouterr().out)["remarks"]
    assert remark.endswith("not part of the data: Thumbs.db")


@pytest.mark.parametrize("task", TASK_NAMES)
def test_the_published_md5_are_those_that_dvc_pins(task: str) -> None:
    pinned = yaml.safe_load((ROOT / f"upstream/raw/{task}.dvc").read_text())["outs"][0]["md5"]
    listing = [{"md5": md5, "relpath": name} for name, md5 in sorted(PUBLISHED[task].items())]
    assert hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest() + ".dir" == pinned


def test_only_data_files_are_fetched_from_a_url(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    object_storage.send(folder(TASKS["hate"], SAMPLE), f"{remote}/hate")
    object_storage.write(f"{remote}/hate/.DS_Store", b"x")
    assert provenance(TASKS["hate"], remote).synthetic
    copy = folder(TASKS["hate"], remote)
    assert foreign(copy, FILES["hate"]) == []
    (copy / "Thumbs.db").touch()
    stamp = (copy / "train_text.txt").stat().st_mtime_ns
    assert provenance(TASKS["hate"], remote).synthetic
    assert (copy / "train_text.txt").stat().st_mtime_ns == stamp, "the file was not downloaded again"


def test_all_names_every_file_of_both_tasks() -> None:
    assert len(ALL) == 10 == len(set(ALL))
