"""`python -m ray_jobs.classify_files` up to the start of Ray."""

import json
from pathlib import Path
from typing import Any

import pytest

from ray_jobs.classify_files import Arguments, classify_files
from tests.support.archive import plan, write_rows
from tests.support.ray_service import publish
from tweetelm.archive.classify_fragment import FragmentClassifier
from tweetelm.archive.dedup import DedupClassifier
from tweetelm.archive.result_set import ResultSet, Settings
from tweetelm.prediction.result_cache import ResultCache
from tweetelm.predictor import Predictor
from tweetelm.registry import read_card, resolve

ROWS = [{"text": f"tweet {i % 4}", "n": str(i)} for i in range(12)]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("registry")
    publish(place / "models", place / "checkpoint", seed=1)
    return str(place / "models")


def arguments(place: Path, registry: str, **changes: Any) -> Arguments:
    values: dict[str, Any] = {
        "inputs": (str(place / "a.csv"),),
        "task": "hate",
        "out": str(place / "out"),
        "registry": registry,
        "fragment_rows": 5,
    }
    return Arguments(**{**values, **changes})


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        (ROWS, {"text": "tweet"}, r"no column 'tweet'; its columns are 'text', 'n'.*--text COLUMN"),
        ([{**ROWS[0], "label": "x"}], {}, r"already has the columns 'label'.*--prefix tweetelm_"),
        ([{**ROWS[0], "prob_not-hate": "x"}], {}, r"already has the columns 'prob_not-hate'"),
        (
            ROWS,
            {"inputs": ("none.csv",)},
            r"none\.csv does not exist; name a file, a folder, a glob",
        ),
        (ROWS, {"version": "20200101-abcdef"}, r"hate has no version '20200101-abcdef'.*expected one of"),
    ],
)
def test_unusable_input_is_refused_before_ray_starts(
    tmp_path: Path, registry: str, rows: list[dict[str, str]], changes: dict[str, Any], message: str
) -> None:
    write_rows(tmp_path / "a.csv", rows)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        classify_files(arguments(tmp_path, registry, **changes))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", [{"inputs": ()}, {"fragment_rows": 0}, {"cpus": 0}, {"workers": -1}])
def test_impossible_flags_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no input was named|expected at least 1"):
        arguments(tmp_path, "models", **change)


def test_complete_results_need_no_ray(
    tmp_path: Path, registry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path / "a.csv", ROWS)
    card = read_card("hate", registry=registry)
    settings = Settings(
        task="hate", model=card.content, version=card.version, labels=tuple(card.labels), text="text",
        prefix="", format="parquet", fragment_rows=5, precision="auto",
    )  # fmt: skip
    results = ResultSet(str(tmp_path / "out"), settings)
    classify = FragmentClassifier(
        DedupClassifier(Predictor.load(resolve("hate", registry=registry)), ResultCache(99)), results
    )
    for named in plan(path, rows=5):
        classify(named)
    assert classify_files(arguments(tmp_path, registry)) == 0
    said = capsys.readouterr().out
    assert "12 rows, 3 fragments, files: 1\ncontinuing: 12 of 12 rows are done\n" in said
    assert "duplicates 8 (66.7%) not classified again" in said
    summary = json.loads(Path(results.folder, "summary.json").read_text())
    assert (summary["rows"], summary["duplicates"], summary["refused"]) == (12, 8, {})
    assert sum(summary["labels"].values()) == 12


def test_prefix_resolves_a_collision(tmp_path: Path, registry: str) -> None:
    (tmp_path / "a.csv").write_text("text,label\n")
    assert classify_files(arguments(tmp_path, registry, prefix="new_")) == 0
