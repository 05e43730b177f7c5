"""A run whose data, checkpoints, history and registry all lie in object storage."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ray.head import Cluster, train_workers, wait_for
from tweetelm.data import SAMPLE
from tweetelm.data.splits import folder
from tweetelm.predictor import Predictor
from tweetelm.registry import resolve
from tweetelm.storage import read, send
from tweetelm.tasks import TASKS

pytestmark = [pytest.mark.ray, pytest.mark.slow]
ROOT = Path(__file__).parents[2]


def command(url: str) -> list[str]:
    line = [sys.executable, "-m", "ray_jobs.train", "--task", "hate", "--name", "far", "--data.root", url]
    line += ["--data.limit", "100", "--model.name", "scratch-1m", "--model.max-tokens", "64"]
    line += ["--loop.epochs", "5", "--loop.batch-tokens", "640", "--loop.micro-tokens", "640"]
    line += ["--loop.validate-every", "1", "--tracking.wandb", "off"]
    return [*line, "--run.storage", f"{url}/runs", "--run.registry", f"{url}/models"]


def surroundings(cluster: Cluster, access: dict[str, str]) -> dict[str, str]:
    """What a job finds that was submitted with the storage's settings in its runtime environment."""
    path = f"{ROOT}:{ROOT / 'src'}"
    job = {"runtime_env": {"env_vars": access}}
    own = {**cluster.env, "RAY_ADDRESS": cluster.address, "PYTHONPATH": path}
    return {**os.environ, **own, **access, "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(job)}


def steps(url: str) -> list[int]:
    """Of the history, in its order; the summary counts as step 0."""
    lines = (read(f"{url}/runs/far/history.jsonl") or b"").splitlines()
    return [json.loads(line).get("step", 0) for line in lines]


def test_a_run_in_object_storage_is_killed_resumed_and_published(
    cluster: Cluster, storage: dict[str, str], remote: str, tmp_path: Path
) -> None:
    send(folder(TASKS["hate"], SAMPLE), f"{remote}/hate")
    environment = surroundings(cluster, storage)
    with subprocess.Popen(command(remote), env=environment, cwd=ROOT) as process:
        snapshot = f"{remote}/runs/far/checkpoint_manager_snapshot.json"
        wait_for("Ray knows a checkpoint", lambda: b"checkpoint_2" in (read(snapshot) or b""))
        process.kill()
    wait_for("its workers end", lambda: not train_workers(cluster))
    before = steps(remote)
    again = subprocess.run(
        command(remote), env=environment, cwd=ROOT, text=True, capture_output=True, timeout=300, check=False
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert "resuming far at step" in again.stdout
    *after, last = steps(remote)
    assert last == 0, "no summary at the end"
    assert after == list(range(1, len(after) + 1)), f"not one line a step; it was killed at {before}"
    assert len(after) > len(before)
    version = resolve("hate", registry=f"{remote}/models", cache=tmp_path)
    card = json.loads((version / "card.json").read_text(encoding="utf-8"))
    assert (card["run"], card["data"]["root"]) == ("far", remote)
    assert Predictor.load(version).predict(["a Vorn moved in next door"])
