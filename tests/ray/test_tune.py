"""A search over both scratch sizes on two CPUs with two workers per trial, killed and resumed."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray

from ray_jobs.fault_tolerance.placement_groups import release_leaked
from ray_jobs.search.asha import PRUNED_FILE, pruned_trials
from tests.support.places import ROOT
from tests.support.ray_head import Cluster, train_workers, wait_for
from tests.support.wandb_records import read_records

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def command(folder: Path) -> list[str]:
    line = [sys.executable, "-m", "ray_jobs.tune", "--task", "hate", "--name", "small", "--space", "tiny"]
    line += ["--trials", "3", "--data.root", "sample", "--data.limit", "200", "--loop.epochs", "2"]
    line += ["--model.max-tokens", "64", "--loop.batch-tokens", "1024", "--loop.micro-tokens", "1024"]
    line += ["--run.workers", "2", "--run.storage", str(folder / "runs")]
    line += ["--propose", "optuna", "--loop.checkpoint-every", "1", "--layers", "2", "3"]
    return [*line, "--run.registry", str(folder / "models")]


def surroundings(cluster: Cluster) -> dict[str, str]:
    path = f"{ROOT}:{ROOT / 'src'}"
    return {**os.environ, **cluster.env, "RAY_ADDRESS": cluster.address, "PYTHONPATH": path}


def histories(folder: Path) -> dict[str, bytes]:
    """Return the history of every finished trial by run name."""
    found = (folder / "runs").glob("small-*/history.jsonl")
    return {p.parent.name: p.read_bytes() for p in found if b'"summary"' in p.read_bytes()}


def steps_logged(folder: Path) -> int:
    found = (folder / "runs").glob("small-*/history.jsonl")
    return sum(p.read_bytes().count(b'"step"') for p in found)


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def runs_cut_short(folder: Path) -> int:
    """Return the wandb files without an exit record; pruned trials never have one."""
    pruned = pruned_trials(f"{folder}/runs/small/{PRUNED_FILE}")
    files = (folder / "runs").glob("small-*/wandb/offline-run-*/*.wandb")
    others = [path for path in files if path.parents[2].name.removeprefix("small-") not in pruned]
    return sum(not any(record.HasField("exit") for record in read_records(path)) for path in others)


def test_search_killed_three_times_repeats_no_trial(driver: Cluster, tmp_path: Path) -> None:
    line = command(tmp_path)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` had it ignored, by children too
    seed = random.randrange(1000)
    chance, ended, cut_short = random.Random(seed), {}, 0
    victims = chance.sample(["driver", "stop", "worker"], 3)

    def tracked(number: int) -> bool:
        """Whether W&B writes down what becomes of the command after so many victims: if it is stopped, not
        killed."""
        return [victim for victim in victims[number:] if victim != "worker"][:1] == ["stop"]

    def start(number: int) -> subprocess.Popen[bytes]:
        wandb = ["--tracking.wandb", "offline" if tracked(number) else "off"]
        return subprocess.Popen(
            [*line, *wandb], env=surroundings(driver), cwd=ROOT, stdout=subprocess.DEVNULL
        )

    process = start(0)
    for number, victim in enumerate(victims, 1):
        goal = steps_logged(tmp_path) + chance.randint(1, 2)
        wait_for("the search to go on", lambda goal=goal: steps_logged(tmp_path) >= goal)  # type: ignore[misc]
        ended |= histories(tmp_path)
        if victim == "worker" and (workers := train_workers(driver)):
            chance.choice(workers).kill()
            cut_short += tracked(number)
            continue
        asked = chance.choice([signal.SIGINT, signal.SIGTERM])
        process.send_signal(asked if victim == "stop" else signal.SIGKILL)
        assert process.wait(60) == (130 if victim == "stop" else -signal.SIGKILL)
        wait_for("its workers end", lambda: not train_workers(driver))
        process = start(number)
    assert process.wait(400) == 0, f"chance {seed}: {victims}"
    after = histories(tmp_path)
    assert {run: after[run] for run in ended} == ended, f"a finished trial ran again, chance {seed}"
    result = read(tmp_path / "runs" / "small" / "result.json")
    assert len({json.dumps(trial["sample"], sort_keys=True) for trial in result["trials"]}) == 3
    assert runs_cut_short(tmp_path) <= cut_short, f"W&B was not told, chance {seed}: {victims}"
    release_leaked()  # as the next command on this cluster does: docs/decisions/0013
    wait_for("every CPU is free again", lambda: ray.available_resources().get("CPU") == 2, 60)

    scores = {trial["run"]: trial["score"] for trial in result["trials"]}
    version = read(tmp_path / "models" / "hate" / "current.json")["version"]
    assert read(tmp_path / "models" / "hate" / "versions" / version / "card.json")["run"] == result["winner"]
    assert scores[result["winner"]] == max(scores.values())
