"""A training run and a search that commit 6750ee0 began and that were stopped resume."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.old_runs import history, unpack
from tests.support.places import ROOT
from tests.support.ray_head import Cluster
from tools.old_run_data import INTERRUPTED, SEARCH, UNDISTURBED, train_arguments, tune_arguments
from tweetelm.registry import list_versions, resolve

pytestmark = [pytest.mark.ray, pytest.mark.slow]
LIMIT_S = 300
TOLERANCE = 5e-3  # of a loss: another processor rounds in another way


def run_again(cluster: Cluster, old: Path, module: str, *arguments: str) -> str:
    """The command that was typed then, where it was typed; returns what it prints."""
    line = [sys.executable, "-m", module, *arguments]
    line += ["--run.storage", str(old / "runs"), "--run.registry", str(old / "models")]
    path = f"{ROOT}:{ROOT / 'src'}"
    env = {**os.environ, **cluster.env, "RAY_ADDRESS": cluster.address, "PYTHONPATH": path}
    done = subprocess.run(
        line, cwd=old, env=env, text=True, capture_output=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def validation_losses(lines: list[dict[str, Any]]) -> dict[int, float]:
    """By step."""
    return {line["step"]: line["validation_loss"] for line in lines if "validation_loss" in line}


def test_training_ends_as_if_never_interrupted(cluster: Cluster, tmp_path: Path) -> None:
    old = unpack(tmp_path)
    run, registry = old / "runs" / INTERRUPTED, str(old / "models")
    before, published = history(run), list_versions("hate", registry=registry)
    said = run_again(cluster, old, "ray_jobs.train", *train_arguments(INTERRUPTED))
    resumed = re.search(rf"resuming {INTERRUPTED} at step (\d+)", said)
    assert resumed, said
    assert int(resumed[1]) >= before[-1]["step"] > 0
    after = history(run)
    assert after[: len(before)] == before
    expected = validation_losses(history(old / "runs" / UNDISTURBED))
    assert validation_losses(after) == pytest.approx(expected, abs=TOLERANCE)
    newest, *others = list_versions("hate", registry=registry)
    assert (newest.run, others) == (INTERRUPTED, published)
    assert resolve("hate", registry=registry)


def test_search_keeps_its_trials_and_adds_the_last(cluster: Cluster, tmp_path: Path) -> None:
    old = unpack(tmp_path)
    before = {run.parent.name: history(run.parent) for run in old.glob(f"runs/{SEARCH}-*/history.jsonl")}
    assert len(before) == 2
    run_again(cluster, old, "tests.support.old_runs", *tune_arguments(SEARCH))
    result = json.loads((old / "runs" / SEARCH / "result.json").read_text(encoding="utf-8"))
    trials = {trial["run"]: trial for trial in result["trials"]}
    assert len(trials) == 3
    assert before.keys() <= trials.keys()
    for name, lines in before.items():
        after = history(old / "runs" / name)
        assert after[: len(lines)] == lines
        assert after[-1]["step"] > lines[-1]["step"]
    scores = {name: trial["score"] for name, trial in trials.items()}
    assert scores[result["winner"]] == max(scores.values())
    assert list_versions("hate", registry=str(old / "models"))[0].run == result["winner"]
