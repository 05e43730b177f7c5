"""What the pages say to type exists: make verbs, modules, flags, files."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_every_make_verb_exists() -> None:
    verbs = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    asked = set(re.findall(r"(?:^|`)make ([a-z]+)", TEXT, re.M))
    assert asked - verbs == set()
    assert {"demo", "test", "check", "data"} <= asked


def test_every_module_to_run_exists() -> None:
    modules = set(re.findall(r"python -m ([\w.]+)", TEXT)) - {"http.server"}
    assert {"ray_jobs.train", "ray_jobs.tune", "tweetelm.data", "serve"} <= modules
    for module in modules:
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_linked_file_exists(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def commands(module: str) -> list[str]:
    return re.findall(rf"python -m {re.escape(module)} ([^\n`]*)", TEXT)


@pytest.mark.parametrize(
    "module", ["ray_jobs.train", "ray_jobs.tune", "ray_jobs.seeds", "ray_jobs.evaluate", "serve"]
)
def test_every_flag_exists(module: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PATH": "", "COLUMNS": "200"},
        check=True,
    )
    flags = {flag for line in commands(module) for flag in re.findall(r"(--[\w.-]+)", line.split("#")[0])}
    for flag in flags:
        assert re.search(rf"{re.escape(flag)}\b", answer.stdout), flag
