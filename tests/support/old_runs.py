"""Runs, searches and a registry written by commit 6750ee0 (tests/data, tools/old_run_data.py)."""

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ray_jobs import tune
from ray_jobs.search.spaces import SPACES
from tests.support.places import ROOT
from tools import old_run_data

ARCHIVE = ROOT / "tests" / "data" / "6750ee0.tar.xz"


def unpack(folder: Path) -> Path:
    """Extract the archive. Model names in its runs are relative to `folder`."""
    with tarfile.open(ARCHIVE) as file:
        safely: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.4 has it
        file.extractall(folder, **safely)
    return folder


def expected_predictions(folder: Path) -> dict[str, list[tuple[str, list[float]]]]:
    """Predictions of that commit for `old_run_data.TEXTS`, by checkpoint or version."""
    found: dict[str, Any] = json.loads((folder / "predictions.json").read_text(encoding="utf-8"))
    return {path: [(label, values) for label, values in answers] for path, answers in found.items()}


def history(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's history, without the summary."""
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if "summary" not in line]


def search(arguments: list[str]) -> int:
    """Run `python -m ray_jobs.tune` with the unnamed search space of the old searches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPACES, "old", old_run_data.space())
        patch.setattr(sys, "argv", ["tune", *arguments, "--space", "old"])
        return tune.main()


if __name__ == "__main__":
    sys.exit(search(sys.argv[1:]))
