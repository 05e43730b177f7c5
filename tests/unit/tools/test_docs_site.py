"""The docs site: what its hooks add, and what makes `make docs` fail."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.places import ROOT
from tools import architecture_picture
from tools.docs_site import in_site, undocumented

MODULE = '''"""A module."""

from typing import Protocol


class Reader(Protocol):
    """Reads."""

    def read(self) -> str:
        """The text."""


class File:
    """A file."""

    def read(self) -> str:
        return ""

    def close(self) -> None:
        return None

    def _hidden(self) -> None:
        return None


def bare() -> None:
    return None
'''


def test_undocumented_public_names_are_found(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text('"""A package."""\n')
    (tmp_path / "package" / "module.py").write_text(MODULE)
    assert undocumented(["package.module"], [tmp_path]) == [
        "package.module.File.close",
        "package.module.bare",
    ]


@pytest.mark.parametrize(
    ("place", "link", "expected"),
    [
        ("docs/serve.md", "limits.md#headers", "limits.md#headers"),
        ("docs/serve.md", "../README.md", "repository/README.md"),
        ("docs/cluster/aws.md", "../../stack.aws.yaml", "../repository/stack.aws.yaml"),
        ("README.md", "docs/log.md", "../log.md"),
        ("docs/serve.md", "https://example.org/a.md", "https://example.org/a.md"),
        ("docs/serve.md", "../missing.md", "../missing.md"),
    ],
)
def test_links_point_at_files_of_the_site(place: str, link: str, expected: str) -> None:
    assert in_site(f"[a]({link})", place) == f"[a]({expected})"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("added", "reason"),
    [
        ("[a](missing.md)", "missing.md"),
        ("[a](serve.md#missing)", "missing"),
        ("::: tweetelm.tasks.Missing", "tweetelm.tasks.Missing"),
    ],
)
def test_make_docs_fails_on_a_broken_reference(tmp_path: Path, added: str, reason: str) -> None:
    done = build(tmp_path, f"# Page\n\n{added}\n")
    assert done.returncode != 0
    assert reason in done.stderr


@pytest.mark.slow
def test_a_page_with_good_references_is_built(tmp_path: Path) -> None:
    done = build(tmp_path, "# Page\n\n[a](serve.md#good) [b](../LICENSE)\n\n::: tweetelm.tasks\n")
    assert done.returncode == 0, done.stderr


def build(folder: Path, page: str) -> "subprocess.CompletedProcess[str]":
    """A build of two pages with the settings of the real site and the flags of `make docs`."""
    (folder / "docs").mkdir()
    (folder / "docs" / "index.md").write_text(page)
    (folder / "docs" / "serve.md").write_text("# Serve\n\n## Good\n")
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    places = {
        "docs_dir": str(folder / "docs"),
        "site_dir": str(folder / "site"),
        "nav": ["index.md", "serve.md"],
    }
    settings |= places | {"hooks": [str(ROOT / hook) for hook in settings["hooks"]]}
    settings["plugins"][1]["mkdocstrings"]["handlers"]["python"]["paths"] = [str(ROOT / "src")]
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(settings))
    (flags,) = re.findall(r"mkdocs build (.*)", (ROOT / "Makefile").read_text())
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        *flags.split(),
        "--config-file",
        folder / "mkdocs.yml",
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_committed_architecture_picture_is_current() -> None:
    assert architecture_picture.FILE.read_text(encoding="utf-8") == architecture_picture.svg()
