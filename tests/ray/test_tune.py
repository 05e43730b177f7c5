"""A search over both scratch sizes on two CPUs, with two workers a trial."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ray.head import Cluster

pytestmark = [pytest.mark.ray, pytest.mark.slow]
ROOT = Path(__file__).parents[2]


def search(cluster: Cluster, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "ray_jobs.tune", "--task", "hate", "--name", "small", "--space", "tiny"]
    line += ["--trials", "3", "--data.root", "sample", "--data.limit", "200", "--loop.epochs", "2"]
    line += ["--model.max-tokens", "64", "--loop.batch-tokens", "1024", "--loop.micro-tokens", "1024"]
    line += ["--run.workers", "2", "--run.storage", str(folder / "runs"), "--tracking.wandb", "off"]
    line += ["--run.registry", str(folder / "models"), *more]
    path = f"{ROOT}:{ROOT / 'src'}"
    environment = {**os.environ, **cluster.env, "RAY_ADDRESS": cluster.address, "PYTHONPATH": path}
    return subprocess.run(
        line, env=environment, cwd=ROOT, text=True, capture_output=True, timeout=540, check=False
    )


def test_a_search_on_two_cpus_ends_publishes_its_best_and_knows_itself_done(
    cluster: Cluster, tmp_path: Path
) -> None:
    first = search(cluster, tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    result = json.loads((tmp_path / "runs" / "small" / "result.json").read_text(encoding="utf-8"))
    scores = {trial["run"]: trial["score"] for trial in result["trials"]}
    assert len(scores) == 3
    assert scores[result["winner"]] == max(scores.values())
    current = json.loads((tmp_path / "models" / "hate" / "current.json").read_text(encoding="utf-8"))
    card = json.loads(
        (tmp_path / "models" / "hate" / "versions" / current["version"] / "card.json").read_text(
            encoding="utf-8"
        )
    )
    assert card["run"] == result["winner"]
    assert "synthetic sample: says nothing about tweets" in first.stdout
    again = search(cluster, tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "finished already" in again.stdout
    assert current["version"] in again.stdout
