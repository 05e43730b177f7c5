"""Kill runs and searches at random times and compare their results with uninterrupted ones.

Each kill is a SIGKILL of the command or of one of its Ray Train workers. A killed command is started again.
Final weights and optimizer must be bit-identical to the uninterrupted run's; a search must have the same
trials.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.timing import machine, publish

SETTINGS = "--task hate --data.root sample --data.limit 300 --model.name scratch-1m --model.max-tokens 64"
SETTINGS += " --loop.batch-tokens 640 --loop.precision float32 --loop.checkpoint-every 1 --optim.lr 1e-3"
SETTINGS += " --pretrain.epochs 1 --loop.epochs 3 --tracking.wandb off --run.cpus 1"
TRAIN = f"ray_jobs.train {SETTINGS} --run.workers 2"
TUNE = f"ray_jobs.tune {SETTINGS} --space tiny --trials 4"
TIMEOUT_S = 600


@dataclass(kw_only=True)
class KillCounts:
    """Kills and starts of one command until it succeeded."""

    drivers: int = 0
    workers: int = 0
    starts: int = 0

    @property
    def kills(self) -> int:
        return self.drivers + self.workers


def start(module: str, folder: Path) -> "subprocess.Popen[bytes]":
    """Start the command; it writes only under `folder`."""
    line = [sys.executable, "-m", *module.split(), "--name", "killed"]
    line += ["--run.storage", str(folder / "runs"), "--run.registry", str(folder / "models")]
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "HOME": str(folder), "RAY_DEDUP_LOGS": "0"}
    log = (folder / "log.txt").open("ab")
    return subprocess.Popen(line, env=environment, stdout=log, stderr=subprocess.STDOUT)


def steps_logged(folder: Path) -> int:
    """Number of training steps in all histories, as a measure of progress."""
    return sum(p.read_bytes().count(b'"step"') for p in (folder / "runs").glob("*/history.jsonl"))


def workers_of(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """The Ray Train workers of a command."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [p for p in family if "RayTrainWorker" in "".join(_line(p))]


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def run_with_kills(module: str, folder: Path, kills: int, rng: random.Random) -> KillCounts:
    """Start the command, kill it at random steps `kills` times, restarting it, and let it finish.

    Raises:
        TimeoutError: no step completed in `TIMEOUT_S`.
    """
    counts = KillCounts()
    while True:
        process = start(module, folder)
        counts.starts += 1
        goal = steps_logged(folder) + rng.randint(0, 3)
        deadline = time.monotonic() + TIMEOUT_S
        while process.poll() is None and counts.kills < kills:
            if time.monotonic() > deadline:
                process.kill()
                raise TimeoutError(f"no training step in {TIMEOUT_S} s; see {folder}/log.txt")
            if steps_logged(folder) >= goal and (workers := workers_of(process)):
                if rng.random() < 0.5 and counts.workers < 2 * counts.starts:
                    rng.choice(workers).kill()
                    counts.workers += 1
                    goal, deadline = (
                        steps_logged(folder) + rng.randint(1, 4),
                        time.monotonic() + TIMEOUT_S,
                    )
                else:
                    process.kill()
                    counts.drivers += 1
            time.sleep(0.05)
        if process.wait(TIMEOUT_S) == 0:
            return counts


def fingerprint(folder: Path) -> str:
    """sha256 of the last checkpoint's weights and optimizer."""
    steps = {
        json.loads(p.read_text(encoding="utf-8"))["progress"]["step"]: p.parent
        for p in (folder / "runs" / "killed").glob("checkpoint_*/state.json")
    }
    last = steps[max(steps)]
    content = b"".join((last / f"{name}.safetensors").read_bytes() for name in ("model", "optimizer"))
    return hashlib.sha256(content).hexdigest()[:16]


def trials(folder: Path) -> list[str]:
    """The hyperparameters of all trials of a finished search, as sorted JSON."""
    document = json.loads((folder / "runs" / "killed" / "result.json").read_text(encoding="utf-8"))
    return sorted(json.dumps(trial["sample"], sort_keys=True) for trial in document["trials"])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="number of runs")
    parser.add_argument("--searches", type=int, default=2, help="number of searches")
    parser.add_argument("--kills", type=int, default=5, help="kills per run or search")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the kills")
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    rng, lines = random.Random(arguments.seed), [machine(), ""]
    for module, count, result in (
        (TRAIN, arguments.runs, fingerprint),
        (TUNE, arguments.searches, trials),
    ):
        if not count:
            continue
        with tempfile.TemporaryDirectory() as baseline:
            run_with_kills(module, Path(baseline), 0, rng)
            expected = result(Path(baseline))
        equal = killed = 0
        for number in range(count):
            with tempfile.TemporaryDirectory() as folder:
                counts = run_with_kills(module, Path(folder), arguments.kills, rng)
                same = result(Path(folder)) == expected
            equal, killed = equal + same, killed + counts.kills
            outcome = "identical" if same else "DIFFERS"
            outcome = f"{counts.drivers} commands and {counts.workers} workers killed: {outcome}"
            print(f"{module.split()[0]} {number + 1} of {count}: {outcome}", flush=True)
        what = "runs finish bit-identical" if module is TRAIN else "searches finish with the same trials"
        lines.append(f"- {equal} of {count} {what} after {killed} kills")
    publish("Kills", lines, arguments.out)


if __name__ == "__main__":
    main()
