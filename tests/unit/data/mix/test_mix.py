"""`tweetelm data mix`: what it writes, and that it writes the same again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import mixes
from tests.support.data_command import run_data
from tweetelm.data import load, provenance
from tweetelm.data.audit.check import check
from tweetelm.tasks import DEEPFAKE, read_task

GENERATED = mixes.part_of("gen", more="generated_test = 0.3")
COLLECTED = mixes.part_of("col", more='use = "train"')

FEW = 30  # machine rows: too few to measure cues, which is most of the work


def prepare(folder: Path, more: str = "", generated: int = 300) -> Path:
    """A base in `data`, a generated and a collected part, and their recipe."""
    mixes.write_base(folder / "data")
    mixes.write_part(folder / "gen", mixes.generated_rows(generated))
    rows = [row | {"screen_name": f"zoe{n % 4}"} for n, row in enumerate(mixes.human_rows(60, seed=9))]
    mixes.write_part(folder / "col", rows, kind="collected")
    return mixes.recipe(folder, GENERATED + COLLECTED, more)


def run_mix(folder: Path, *words: str) -> int:
    root, out = str(folder / "data"), str(folder / "out")
    return run_data(["mix", str(folder / "recipe.toml"), "--root", root, "--out", out, *words])


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a recipe whose dataset is in `out`."""
    folder = tmp_path_factory.mktemp("mixed")
    prepare(folder)
    assert run_mix(folder) == 0
    return folder


def test_official_splits_are_identical(mixed: Path) -> None:
    before, after = load(DEEPFAKE, mixed / "data"), load(read_task(mixed / "out" / "mixed.toml"), "data")
    for split in ("validation", "test"):
        for column in ("text", "label", "screen_name", "class_type"):
            assert after[split][column][:] == before[split][column][:], (split, column)
    base = len(before["train"])
    assert after["train"][:base]["text"] == before["train"]["text"][:]
    assert len(after["train"]) > base


def test_every_row_is_used_or_counted(mixed: Path) -> None:
    values = json.loads((mixed / "out" / "mix.json").read_text())
    for part in values["parts"]:
        assert part["read"] == sum(part["rows"].values()) + sum(part["left_out"].values()), part["name"]
    counts = {
        split: sum(row["part"] == "gen" for row in mixes.read_file(mixed / "out" / f"{split}.csv"))
        for split in ("train", "generated-test")
    }
    assert counts == values["parts"][0]["rows"]


def test_nothing_crosses_into_the_generated_test(mixed: Path) -> None:
    train, test = (
        [row for row in mixes.read_file(mixed / "out" / f"{name}.csv") if row["part"] != "deepfake"]
        for name in ("train", "generated-test")
    )
    assert min(len(train), len(test)) > 20
    for column in ("prompt_id", "imitated", "text"):
        assert not {row[column] for row in train if row[column]} & {row[column] for row in test}, column
    sources = [{each for row in rows for each in row["sources"].split()} for rows in (train, test)]
    assert not sources[0] & sources[1]


def test_generated_test_is_a_task_of_the_same_name(mixed: Path) -> None:
    official, generated = (read_task(mixed / "out" / f"mixed{end}.toml") for end in ("", "-generated-test"))
    assert (official.name, official.labels, official.slices) == (
        generated.name,
        generated.labels,
        ("class_type",),
    )
    assert official.published == DEEPFAKE.published
    assert not generated.published
    splits = load(generated, "data")
    assert splits["train"].num_rows == load(official, "data")["train"].num_rows
    assert set(splits["test"]["class_type"]) == {"human", "newbot"}
    assert sum(splits["test"]["label"]) * 2 == len(splits["test"])  # as many human rows, of the base's test


def test_audit_finds_nothing_that_the_base_has_not(mixed: Path) -> None:
    assert json.loads((mixed / "out" / "mix.json").read_text())["audit"] == {
        "clean": True,
        "new_findings": {},
    }
    base = {(each.what, each.where): each.rows for each in check(DEEPFAKE, mixed / "data").findings}
    for finding in check(read_task(mixed / "out" / "mixed.toml"), "data").findings:
        assert finding.rows <= base[finding.what, finding.where]


def test_same_recipe_gives_the_same_bytes(mixed: Path, tmp_path: Path) -> None:
    prepare(tmp_path)
    command = [sys.executable, "-m", "tweetelm.data", "mix", "recipe.toml", "--root", "data", "--out", "out"]
    env = os.environ | {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = (
        {path.name: path.read_bytes() for path in (folder / "out").iterdir()} for folder in (mixed, tmp_path)
    )
    assert set(first) == {
        *("train.csv", "validation.csv", "test.csv", "generated-test.csv"),
        *("mixed.toml", "mixed-generated-test.toml", "mix.json", "README.md"),
    }
    assert first == second


def test_same_dataset_is_left_and_another_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path, "[cues]\nmatch = false", generated=FEW)
    assert run_mix(tmp_path) == 0
    before = (tmp_path / "out" / "README.md").stat().st_mtime_ns
    assert run_mix(tmp_path) == 0
    assert "unchanged" in capsys.readouterr().out
    assert (tmp_path / "out" / "README.md").stat().st_mtime_ns == before
    prepare(tmp_path, "[cues]\nmatch = false\n[quotas]\nlabel = { bot = 8 }", generated=FEW)
    assert run_mix(tmp_path) == 1
    assert "replace it with --replace" in capsys.readouterr().err
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert run_mix(tmp_path, "--replace") == 1
    assert "notes.txt, which mix did not write" in capsys.readouterr().err
    (tmp_path / "out" / "notes.txt").unlink()
    assert run_mix(tmp_path, "--replace") == 0
    assert "quota of its label" in (tmp_path / "out" / "README.md").read_text()


def test_folder_that_is_no_mix_is_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path, generated=FEW)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    assert run_mix(tmp_path, "--replace") == 1
    assert "has files that are not a mixed dataset" in capsys.readouterr().err
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_version_follows_recipe_and_parts(tmp_path: Path) -> None:
    def version() -> str:
        assert run_mix(tmp_path, "--replace") == 0
        return str(json.loads((tmp_path / "out" / "mix.json").read_text())["version"])

    path = prepare(tmp_path, "[cues]\nmatch = false", generated=FEW)
    first = version()
    path.write_text(path.read_text() + "# a comment\n")
    assert version() == first
    path.write_text(path.read_text().replace("[cues]", "[quotas]\naccount = 500\n[cues]"))
    second = version()
    mixes.write_part(tmp_path / "gen", mixes.generated_rows(FEW, seed=1))
    assert len({first, second, version()}) == 3


def test_summary_ends_with_audit_and_next_command(mixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_mix(mixed) == 0
    shown = capsys.readouterr().out
    assert "audit: Clean" in shown
    assert shown.rstrip().splitlines()[-2].strip() == f"tweetelm train --task {mixed / 'out' / 'mixed.toml'}"
    assert "no human row with the same cues" in shown


def test_provenance_names_recipe_and_parts(mixed: Path, tmp_path: Path) -> None:
    values = json.loads((mixed / "out" / "mix.json").read_text())
    found = provenance(read_task(mixed / "out" / "mixed.toml"), "data").mix
    assert found is not None
    assert (found.version, found.recipe) == (values["version"], values["recipe_sha256"])
    manifests = {name: json.loads((mixed / name / "manifest.json").read_text()) for name in ("gen", "col")}
    assert found.parts == {name: manifest["sha256"] for name, manifest in manifests.items()}
    assert found.base == {"deepfake": provenance(DEEPFAKE, mixed / "data").md5}
    for file in (mixed / "out").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "train.csv").open("ab") as train:
        train.write(b'"ann";"one more row";"human";"human";"me";"";"";""\n')
    assert provenance(read_task(tmp_path / "mixed.toml"), "data").mix is None
