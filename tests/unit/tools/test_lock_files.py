"""What is installed, and where: the lock files, and the order of what CI runs."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.places import ROOT

FILES = ("requirements.lock", "requirements-cpu.lock", "requirements-cuda.lock", "requirements-dev.lock")
EXTRA = {"onnxruntime"}  # of the extra `onnx`; without it, the export says what to install
CPU_BUILD = "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"


def locked(name: str) -> dict[str, list[str]]:
    """Hashes of each package of a lock file; the line that holds none of them is an error."""
    found: dict[str, list[str]] = {}
    for entry in (ROOT / name).read_text().replace(" \\\n", " ").splitlines():
        if not entry.startswith("#"):
            match = re.fullmatch(r"([a-z0-9-]+)==\S+(?: ; [^-]+)?((?: +--hash=sha256:[0-9a-f]{64})+)", entry)
            assert match, entry[:100]
            found[match[1]] = match[2].split()
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_locked_package_has_hashes(name: str) -> None:
    packages = locked(name)
    assert packages
    assert all(packages.values())


def test_each_build_of_torch_has_a_file_with_its_hashes() -> None:
    cpu, cuda = locked("requirements-cpu.lock"), locked("requirements-cuda.lock")
    assert cpu == {"torch": [f"--hash=sha256:{CPU_BUILD}"]}
    assert {"torch", "triton", "nvidia-cudnn-cu13"} <= cuda.keys()
    assert f"--hash=sha256:{CPU_BUILD}" not in cuda["torch"]


def test_no_package_but_torch_is_in_two_lock_files() -> None:
    everything = [package for name in FILES for package in locked(name)]
    assert {name for name in everything if everything.count(name) > 1} == {"torch"}


def test_nodes_get_no_test_packages() -> None:
    runtime = locked("requirements.lock").keys() | locked("requirements-cuda.lock").keys()
    assert not runtime & {"pytest", "moto", "mypy", "ruff", "playwright", "schemathesis", "hypothesis"}
    for name in ("cluster.yaml", "cluster.local.yaml", "runtime_env.yaml"):
        assert "requirements-dev" not in (ROOT / name).read_text()
    setup = " ".join(yaml.safe_load((ROOT / "cluster.yaml").read_text())["setup_commands"])
    assert "--require-hashes -r requirements.lock -r requirements-cuda.lock" in setup


@pytest.mark.slow
def test_what_the_code_imports_is_in_the_runtime_lock() -> None:
    known = importlib.metadata.packages_distributions()
    runtime = locked("requirements.lock") | locked("requirements-cpu.lock")
    for folder in ("src", "ray_jobs", "serve"):
        for path in (ROOT / folder).rglob("*.py"):
            for module in imports(path) - sys.stdlib_module_names - {"tweetelm", "ray_jobs", "serve"} - EXTRA:
                names = {canonicalize_name(name) for name in known.get(module, [])}
                assert names & runtime.keys(), f"{path}: {module}"


def imports(path: Path) -> set[str]:
    """Top-level modules that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    origins = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in plain | origins}


def test_the_runtime_lock_lacks_nothing_that_it_needs() -> None:
    """Else `pip install --require-hashes` refuses it."""
    runtime = locked("requirements.lock").keys() | locked("requirements-cpu.lock").keys()
    for package in runtime:
        for line in importlib.metadata.requires(package) or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert canonicalize_name(needed.name) in runtime, f"{package} needs {needed.name}"


def test_ci_runs_lint_then_docs_then_tests(tmp_path: Path) -> None:
    (tmp_path / "make").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/verbs\n[ "$1" != "$FAILS" ]\n')
    (tmp_path / "make").chmod(0o755)

    def verbs(fails: str) -> list[str]:
        (tmp_path / "verbs").write_text("")
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "FAILS": fails}
        done = subprocess.run([ROOT / ".ci" / "run"], env=environment, check=False, capture_output=True)
        assert (done.returncode == 0) == (fails == "")
        return (tmp_path / "verbs").read_text().split("\n")[:-1]

    assert verbs("") == ["lint", "docs", "test"]
    assert verbs("lint") == ["lint"]
    assert verbs("docs") == ["lint", "docs"]
    rules = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    assert all(tool in rules for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports"))
