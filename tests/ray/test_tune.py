"""A search over both scratch sizes on two CPUs, with two workers a trial."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from tests.ray.head import Cluster, train_workers, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.slow]
ROOT = Path(__file__).parents[2]


def command(folder: Path, *more: str) -> list[str]:
    line = [sys.executable, "-m", "ray_jobs.tune", "--task", "hate", "--name", "small", "--space", "tiny"]
    line += ["--trials", "2", "--data.root", "sample", "--data.limit", "200", "--loop.epochs", "2"]
    line += ["--model.max-tokens", "64", "--loop.batch-tokens", "1024", "--loop.micro-tokens", "1024"]
    line += ["--run.workers", "2", "--run.storage", str(folder / "runs"), "--tracking.wandb", "off"]
    return [*line, "--run.registry", str(folder / "models"), *more]


def surroundings(cluster: Cluster) -> dict[str, str]:
    path = f"{ROOT}:{ROOT / 'src'}"
    return {**os.environ, **cluster.env, "RAY_ADDRESS": cluster.address, "PYTHONPATH": path}


def search(cluster: Cluster, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    line, environment = command(folder, *more), surroundings(cluster)
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
    assert len(scores) == 2
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


def histories(folder: Path) -> dict[str, bytes]:
    """The history of every trial that has ended, by its run."""
    found = (folder / "runs").glob("small-*/history.jsonl")
    return {p.parent.name: p.read_bytes() for p in found if b'"summary"' in p.read_bytes()}


def steps_logged(folder: Path) -> int:
    found = (folder / "runs").glob("small-*/history.jsonl")
    return sum(p.read_bytes().count(b'"step"') for p in found)


def samples(folder: Path) -> set[str]:
    result = json.loads((folder / "runs" / "small" / "result.json").read_text(encoding="utf-8"))
    return {json.dumps(trial["sample"], sort_keys=True) for trial in result["trials"]}


def test_a_search_killed_five_times_ends_with_all_its_trials_repeats_none_and_leaves_no_place_taken(
    driver: Cluster, tmp_path: Path
) -> None:
    line = command(tmp_path, "--run.workers", "1", "--trials", "3", "--concurrent", "2")
    line += ["--propose", "optuna", "--loop.checkpoint-every", "1"]
    seed = random.randrange(1000)
    chance, ended = random.Random(seed), {}
    victims = chance.sample(["driver", "driver", "Ctrl-C", "worker", "worker"], 5)
    process = subprocess.Popen(line, env=surroundings(driver), cwd=ROOT, stdout=subprocess.DEVNULL)
    for victim in victims:
        goal = steps_logged(tmp_path) + chance.randint(1, 2)
        wait_for("the search to go on", lambda goal=goal: steps_logged(tmp_path) >= goal)  # type: ignore[misc]
        ended |= histories(tmp_path)
        if victim == "worker" and (workers := train_workers(driver)):
            chance.choice(workers).kill()
            continue
        process.send_signal(signal.SIGINT if victim == "Ctrl-C" else signal.SIGKILL)
        assert process.wait(60) == (130 if victim == "Ctrl-C" else -signal.SIGKILL)
        wait_for("its workers end", lambda: not train_workers(driver))
        process = subprocess.Popen(line, env=surroundings(driver), cwd=ROOT, stdout=subprocess.DEVNULL)
    assert process.wait(400) == 0, f"chance {seed}: {victims}"
    after = histories(tmp_path)
    assert {run: after[run] for run in ended} == ended, f"a finished trial ran again, chance {seed}"
    assert len(samples(tmp_path)) == 3
    wait_for("every CPU is free again", lambda: ray.available_resources().get("CPU") == 2, 60)
