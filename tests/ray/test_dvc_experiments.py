"""`examples/dvc` with the real DVC: repro, experiments, metrics and plots, on the embedded sample."""

import csv
import json
from collections.abc import Iterator

import pytest

from tests.support.dvc_project import Project, dvc_project

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with dvc_project(tmp_path_factory.mktemp("project"), "dvc") as project:
        yield project


def test_stages_run_and_compare_experiments(project: Project) -> None:
    folder = project.folder
    project.dvc("repro")
    first = json.loads((folder / "report" / "scores.json").read_text())
    assert 0 < first["test"]["macro_f1"] <= 1
    with (folder / "report" / "confusion-test.csv").open() as file:
        rows = list(csv.DictReader(file))
    right = sum(row["actual"] == row["predicted"] for row in rows) / len(rows)
    assert right == pytest.approx(first["test"]["accuracy"])
    assert "didn't change" in project.dvc("repro") or "up to date" in project.dvc("repro")
    project.typed("git", "add", "-A")
    project.typed("git", "commit", "-qm", "Train")
    project.dvc("exp", "run", "-S", "optim.lr=1e-4")
    changed = json.loads(project.dvc("metrics", "diff", "--json"))["report/scores.json"]
    assert changed["test.macro_f1"]["old"] == first["test"]["macro_f1"]
    assert changed["test.macro_f1"]["diff"] != 0
    project.dvc("plots", "show", "--out", "plots")
    page = (folder / "plots" / "index.html").read_text()
    assert "validation_macro_f1" in page
    assert "confusion-test" in page
