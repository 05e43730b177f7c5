"""`--replace`: neither damage, another writer nor an interruption loses a dataset."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import mixes
from tests.support.data_command import run_data
from tweetelm.data.mix.lineage import MIX_FILE
from tweetelm.data.mix.place import place, put_back
from tweetelm.files import atomic


def staged(folder: Path, text: str) -> Path:
    """A new dataset beside `out`, not yet in its place."""
    staging = atomic.hidden(folder / "out")
    staging.mkdir()
    (staging / MIX_FILE).write_text('{"files": {}}')
    (staging / "README.md").write_text(text)
    return staging


def put(folder: Path, text: str) -> bool:
    staging = staged(folder, text)
    return place(staging, folder / "out", {"README.md": text.encode()}, replace=True)


def text_of(folder: Path) -> str:
    return (folder / "out" / "README.md").read_text()


@pytest.mark.parametrize("content", ["[]", "{x", "", '{"files": []}'])
def test_damaged_mix_file_is_one_line(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mixes.write_base(tmp_path / "data", train=20, test=10)
    mixes.write_part(tmp_path / "gen", mixes.generated_rows(6))
    recipe = mixes.recipe(tmp_path, mixes.part_of("gen"), "[cues]\nmatch = false")
    out = tmp_path / "out"
    out.mkdir()
    (out / MIX_FILE).write_text(content)
    words = ["mix", str(recipe), "--root", str(tmp_path / "data"), "--out", str(out), "--replace"]
    assert run_data(words) == 1
    shown = capsys.readouterr().err.strip().splitlines()
    assert len(shown) == 1
    assert f"{out / MIX_FILE} is damaged" in shown[0]
    assert f"move {out} away, or name another folder with --out FOLDER" in shown[0]
    assert (out / MIX_FILE).read_text() == content


def test_replacement_leaves_no_other_folder(tmp_path: Path) -> None:
    assert put(tmp_path, "old")
    assert put(tmp_path, "new")
    assert text_of(tmp_path) == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_old_dataset_is_kept_if_another_came_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "old")
    commit = atomic.commit

    def beaten(partial: Path, target: Path) -> bool:
        assert commit(staged(tmp_path, "of another"), target)
        return commit(partial, target)

    monkeypatch.setattr(atomic, "commit", beaten)
    with pytest.raises(FileExistsError, match=r"written by another command meanwhile.*the one before is now"):
        put(tmp_path, "new")
    assert text_of(tmp_path) == "of another"
    aside = next(tmp_path.glob(".out.*.replaced"))
    assert (aside / "README.md").read_text() == "old"


def test_old_dataset_is_put_back_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "old")

    def full(partial: Path, target: Path) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "commit", full)
    with pytest.raises(OSError, match="No space"):
        put(tmp_path, "new")
    assert text_of(tmp_path) == "old"


KILLED = """
import os, pathlib
from tests.unit.data.mix.test_replacement import atomic, put
atomic.commit = lambda partial, target: os._exit(9)
put(pathlib.Path("."), "new")
"""


def test_killed_replacement_is_put_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "old")
    path = [str(Path(__file__).parents[4])]
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {path}{KILLED}"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 9
    assert not (tmp_path / "out").exists()
    recipe = mixes.recipe(tmp_path, mixes.part_of("nowhere"))
    assert run_data(["mix", str(recipe), "--root", "sample", "--out", str(tmp_path / "out")]) == 1
    assert f"put back {tmp_path / 'out'}" in capsys.readouterr().out
    assert text_of(tmp_path) == "old"
    assert not put_back(tmp_path / "out")
