"""Commands in the documentation exist: make targets, modules, flags, files."""

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.places import ROOT
from tweetelm import __version__
from tweetelm.cli.dispatch import COMMANDS

README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = "src|ray_jobs|serve|tests|benchmarks|tools|docs"  # first folder of a path in backticks
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_every_make_verb_exists() -> None:
    verbs = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    asked = set(re.findall(r"(?:^|`)make ([a-z]+)", TEXT, re.M))
    assert asked - verbs == set()
    assert {"demo", "test", "check", "data", "docs", "coverage"} <= asked


def test_every_make_verb_is_phony_and_has_help() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.findall(r"^\.PHONY: (.+)$", text, re.M)[0].split())
    assert phony == set(re.findall(r"^([a-z]+):.*##", text, re.M))
    assert {"lint", "docs", "test", "coverage"} <= phony


def test_readme_fits_ten_minutes() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert len(re.findall(r"\d+(?:[.,]\d+)*", text)) <= 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_named_file_exists(page: Path) -> None:
    for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", page.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path


def test_every_named_module_exists() -> None:
    pages = [ROOT / "docs" / "architecture.md", *(ROOT / "docs" / "api").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    for name in re.findall(r"(?:`|^::: )((?:tweetelm|ray_jobs|serve)(?:\.[a-z_]+)+)(?:`|$)", text, re.M):
        parent, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(parent), last) or importlib.util.find_spec(name), name


def test_readme_python_lines_import_what_exists() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    for module, name in re.findall(r"^from (tweetelm[\w.]*) import (\w+)", "".join(blocks), re.M):
        assert hasattr(importlib.import_module(module), name), name


def test_every_module_to_run_exists() -> None:
    modules = set(re.findall(r"python -m ([\w.]+)", TEXT)) - {"http.server"}
    assert {"ray_jobs.train", "ray_jobs.cluster.config_file"} <= modules
    for module in modules:
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_linked_file_exists(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_tweetelm_command_exists() -> None:
    shell = "\n".join(re.findall(r"```bash\n(.*?)```", TEXT, re.S))
    names = set(re.findall(r"^tweetelm ([\w-]+)", shell, re.M) + re.findall(r"`tweetelm ([a-z][\w-]*)", TEXT))
    assert {"train", "tune", "evaluate", "serve", "registry", "data"} <= names <= set(COMMANDS)


def commands(name: str, module: str) -> list[str]:
    """The arguments of each occurrence of a command, as `tweetelm NAME` or `python -m MODULE`."""
    text = TEXT.replace("\\\n", " ")  # join continued lines
    return re.findall(rf"(?:tweetelm {name}|python -m {re.escape(module)}) ([^\n`]*)", text)


@pytest.mark.parametrize("name", ["train", "tune", "seeds", "evaluate", "serve"])
def test_every_flag_exists(name: str) -> None:
    module, _ = COMMANDS[name]
    answer = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PATH": "", "COLUMNS": "200"},
        check=True,
    )
    flags = {
        flag for line in commands(name, module) for flag in re.findall(r"(--[\w.-]+)", line.split("#")[0])
    }
    for flag in flags:
        assert re.search(rf"{re.escape(flag)}\b", answer.stdout), flag


def test_changelog_has_unreleased_and_the_current_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[([\w.]+)\](?: - \d{4}-\d\d-\d\d)?$", text, re.M)
    assert headings[0] == "Unreleased"
    assert __version__ in headings


def test_ci_workflow_calls_make_verbs_alone() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    typed = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert typed == ["make lint", "make docs", "make coverage", "make test"]
