"""`python -m ray_jobs.train --distill.teacher VERSION`: answers kept, student published, compared with it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.job_commands import run
from tests.support.ray_head import Cluster
from tweetelm.registry import read_card

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def flags(folder: Path, *more: str) -> list[str]:
    line = ["--task", "hate", "--data.root", "sample", "--data.limit", "200", "--model.name", "scratch-1m"]
    line += ["--loop.epochs", "1", "--loop.batch-tokens", "1024", "--model.max-tokens", "64"]
    return [*line, "--run.storage", str(folder / "runs"), "--run.registry", str(folder / "models"), *more]


def report_of(folder: Path, version: str) -> dict[str, Any]:
    path = folder / "models" / "hate" / "versions" / version / "evaluation" / "report.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_student_learns_from_a_published_version(cluster: Cluster, tmp_path: Path) -> None:
    status, said = run(cluster, "ray_jobs.train", *flags(tmp_path, "--name", "teacher"))
    assert status == 0, said
    registry = str(tmp_path / "models")
    teacher = read_card("hate", registry=registry).version
    student = flags(tmp_path, "--distill.teacher", teacher, "--loop.seed", "1", "--run.replace")
    status, said = run(cluster, "ray_jobs.train", *student, "--plan")
    assert (status, re.search(rf"teacher +{teacher}", said) is not None) == (0, True), said
    status, said = run(cluster, "ray_jobs.train", *student)
    assert status == 0, said
    assert f"teacher {teacher}: 200 answers in" in said
    assert f"against {teacher}: " in said
    card = read_card("hate", registry=registry)
    assert card.base["teacher"]["version"] == teacher
    titles = [section["title"] for section in report_of(tmp_path, card.version)["sections"]]
    assert f"Against {teacher}" in titles

    assert len(list((tmp_path / "runs" / "teachers").iterdir())) == 1

    status, said = run(cluster, "ray_jobs.train", *flags(tmp_path, "--distill.weight", "0.5"))
    assert (status, "no effect without a teacher" in said) == (2, True), said
    status, said = run(cluster, "ray_jobs.train", *flags(tmp_path, "--distill.teacher", "20200101-abcdef"))
    assert (status, "Traceback" in said) == (2, False), said
    assert "20200101-abcdef" in said
