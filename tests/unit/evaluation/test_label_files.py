"""Predicted labels of another classifier, one a line: made-up files, and those of TweetEval's authors."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from sklearn.metrics import f1_score

from tests.support.places import ROOT
from tests.support.report import report_context
from tweetelm.data import load
from tweetelm.evaluation.bootstrap import confusion, headline_statistic
from tweetelm.evaluation.label_files import find_label_files, read_label_files
from tweetelm.evaluation.report.context import Rival
from tweetelm.evaluation.report.paired_errors import paired_errors
from tweetelm.evaluation.report.sections.comparison import comparison_line
from tweetelm.evaluation.report.write import write
from tweetelm.tasks import HATE, find_task

TWEETEVAL = Path(os.environ.get("TWEETELM_TWEETEVAL", "tweeteval/datasets"))
PREDICTIONS = Path(os.environ.get("TWEETELM_TWEETEVAL_PREDICTIONS", TWEETEVAL.parent / "predictions"))
STANCE = replace(HATE, name="stance", labels=("none", "against", "favor"))
FOLDERS = ["abortion", "abortion", "abortion", "climate"]


def stance_rows(folders: Sequence[str] = FOLDERS) -> Dataset:
    return Dataset.from_dict({"text": [f"tweet {i}" for i in range(len(folders))], "folder": list(folders)})


def written(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    return [str(folder / f"{name}.txt") for name in files]


@pytest.mark.parametrize(
    "text", ["0\n2\n1\n1\n", "none\nfavor\nagainst\nagainst", "0\r\n2\r\nagainst\r\n1\r\n"]
)
def test_lines_are_ids_or_names(tmp_path: Path, text: str) -> None:
    files = find_label_files(written(tmp_path, labels=text))
    assert read_label_files(files, STANCE, stance_rows()).tolist() == [0, 2, 1, 1]


def test_folder_stands_for_its_files_by_name(tmp_path: Path) -> None:
    written(tmp_path, climate="2\n", abortion="0\n1\n1\n")
    files = find_label_files([str(tmp_path)])
    assert read_label_files(files, STANCE, stance_rows()).tolist() == [0, 1, 1, 2]


def test_files_in_another_order_are_refused(tmp_path: Path) -> None:
    files = find_label_files(written(tmp_path, climate="2\n", abortion="0\n1\n1\n"))
    with pytest.raises(
        ValueError, match=r"climate.txt \(1 lines\), .*in this order: abortion \(3\), climate"
    ):
        read_label_files(files, STANCE, stance_rows())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0\n1\n1\n", "3 lines, but the test split of stance has 4 rows"),
        ("0\n1\n3\n1\n", "labels.txt, line 3: the label is '3'; expected an id from 0 to 2, or a name: none"),
        ("0\n1\n\n1\n", "labels.txt, line 3: the label is ''"),
        ("", "labels.txt is empty"),
    ],
)
def test_wrong_label_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    files = find_label_files(written(tmp_path, labels=text))
    with pytest.raises(ValueError, match=message):
        read_label_files(files, STANCE, stance_rows())


def test_missing_label_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no \*\.txt file; expected a file with one predicted"):
        find_label_files([str(tmp_path)])
    with pytest.raises(
        FileNotFoundError, match=r"none\.txt does not exist; expected a file with one predicted"
    ):
        read_label_files([tmp_path / "none.txt"], STANCE, stance_rows())


def test_rows_of_errors_are_written_without_texts(tmp_path: Path) -> None:
    made = report_context()  # truth 0 0 0 1 0 1, predicted 0 0 0 1 1 0
    made = replace(made, rival=Rival(name="peer.txt", predicted=np.array([1, 0, 0, 0, 1, 1])))
    assert made.rival is not None
    write(made, tmp_path)
    lines = (tmp_path / "errors-test.csv").read_text().splitlines()
    assert lines == ["row,errs", "0,other", "3,other", "4,both", "5,this model"]
    line = comparison_line(made, made.rival)
    assert "only this model errs on 1 tweets, only peer.txt on 2, both on 1" in line
    for ending in ("json", "md", "html"):
        assert "Against peer.txt" in (tmp_path / f"report.{ending}").read_text()


def test_mcnemar_counts_only_who_errs_alone() -> None:
    made = report_context().result
    assert paired_errors(made, made.predicted).p == 1.0
    flipped = 1 - made.labels  # errs everywhere: alone on 4 rows, this model never alone
    found = paired_errors(made, flipped)
    assert (len(found.first), len(found.second), len(found.both), found.right) == (0, 4, 2, 0)
    assert found.p == pytest.approx(2 * 0.5**4)


@pytest.mark.parametrize(
    ("name", "averaged", "expected"),
    [
        ("hate", [0, 1], 0.5547114323640362),
        ("emotion", [0, 1, 2, 3], 0.7982724123055319),
        ("irony", [1], 0.6247755834829444),
        ("offensive", [0, 1], 0.815509211242485),
        ("stance", [1, 2], 0.7243628109019552),
    ],
)
def test_files_of_tweeteval_score_as_its_script(name: str, averaged: list[int], expected: float) -> None:
    # `expected` is what TweetEval's evaluation_script.py prints, at 4fbd22cd of cardiffnlp/tweeteval.
    place = PREDICTIONS / ("stance" if name == "stance" else f"{name}.txt")
    root = next((root for root in (TWEETEVAL, ROOT / "data") if (root / name).is_dir()), None)
    if root is None or not place.exists():
        pytest.skip(f"no {TWEETEVAL / name} or {place}; $TWEETELM_TWEETEVAL(_PREDICTIONS) name others")
    task = HATE if name == "hate" else find_task(str(ROOT / "examples" / "tweeteval" / f"{name}.toml"))
    test = load(task, root)["test"]
    truth = np.asarray(test["label"], dtype=np.int64)
    theirs = read_label_files(find_label_files([str(place)]), task, test)
    found = float(headline_statistic(task)(confusion(truth, theirs, len(task.labels))))
    assert found == pytest.approx(f1_score(truth, theirs, average="macro", labels=averaged))
    assert found == pytest.approx(expected, abs=1e-9)
