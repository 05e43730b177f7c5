"""`examples/dvc` with the real DVC: repro, experiments, metrics and plots, on the embedded sample."""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import ROOT
from tests.support.ray_service import private_ray

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A git and DVC repository with the example's files, committed."""
    folder = tmp_path_factory.mktemp("project")
    with private_ray() as env:
        shutil.copytree(ROOT / "examples" / "dvc", folder, dirs_exist_ok=True)
        env |= {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "DVC_NO_ANALYTICS": "1", "CI": "1"}
        for name in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{name}_NAME": "a", f"GIT_{name}_EMAIL": "a@b.c"}
        typed(folder, env, "git", "init", "-q")
        dvc(folder, env, "init", "-q")
        typed(folder, env, "git", "add", "-A")
        typed(folder, env, "git", "commit", "-qm", "Start")
        yield folder, env


def typed(folder: Path, env: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        words, cwd=folder, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def dvc(folder: Path, env: dict[str, str], *words: str) -> str:
    return typed(folder, env, sys.executable, "-m", "dvc", *words)


def test_stages_run_and_compare_experiments(project: tuple[Path, dict[str, str]]) -> None:
    folder, env = project
    dvc(folder, env, "repro")
    first = json.loads((folder / "report" / "scores.json").read_text())
    assert 0 < first["test"]["macro_f1"] <= 1
    with (folder / "report" / "confusion-test.csv").open() as file:
        rows = list(csv.DictReader(file))
    right = sum(row["actual"] == row["predicted"] for row in rows) / len(rows)
    assert right == pytest.approx(first["test"]["accuracy"])
    assert "didn't change" in dvc(folder, env, "repro") or "up to date" in dvc(folder, env, "repro")
    typed(folder, env, "git", "add", "-A")
    typed(folder, env, "git", "commit", "-qm", "Train")
    dvc(folder, env, "exp", "run", "-S", "optim.lr=1e-4")
    changed = json.loads(dvc(folder, env, "metrics", "diff", "--json"))["report/scores.json"]
    assert changed["test.macro_f1"]["old"] == first["test"]["macro_f1"]
    assert changed["test.macro_f1"]["diff"] != 0
    dvc(folder, env, "plots", "show", "--out", "plots")
    page = (folder / "plots" / "index.html").read_text()
    assert "validation_macro_f1" in page
    assert "confusion-test" in page
