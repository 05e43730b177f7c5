"""Runs and searches killed at random moments, again and again, against ones that were left alone.

Each kill is a SIGKILL of the command itself or of one of its Ray Train workers; the command is then typed
again. At the end the weights and the optimizer must be the undisturbed run's bit for bit, and a search must
have the same trials.
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
PATIENCE_S = 600


@dataclass(kw_only=True)
class Toll:
    """What was done to one command until it ended."""

    drivers: int = 0
    workers: int = 0
    starts: int = 0

    @property
    def kills(self) -> int:
        return self.drivers + self.workers


def start(module: str, folder: Path) -> "subprocess.Popen[bytes]":
    """The command, with everything it writes under `folder`."""
    line = [sys.executable, "-m", *module.split(), "--name", "killed"]
    line += ["--run.storage", str(folder / "runs"), "--run.registry", str(folder / "models")]
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "HOME": str(folder), "RAY_DEDUP_LOGS": "0"}
    log = (folder / "log.txt").open("ab")
    return subprocess.Popen(line, env=environment, stdout=log, stderr=subprocess.STDOUT)


def steps_logged(folder: Path) -> int:
    """Lines of all histories: grows with the work."""
    return sum(p.read_bytes().count(b'"step"') for p in (folder / "runs").glob("*/history.jsonl"))


def workers_of(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Its Ray Train workers."""
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


def torment(module: str, folder: Path, kills: int, chance: random.Random) -> Toll:
    """Start, kill at a random later step, start again, until `kills` are done; then let it end."""
    toll = Toll()
    while True:
        process = start(module, folder)
        toll.starts += 1
        goal = steps_logged(folder) + chance.randint(0, 3)
        deadline = time.monotonic() + PATIENCE_S
        while process.poll() is None and toll.kills < kills:
            if time.monotonic() > deadline:
                process.kill()
                raise TimeoutError(f"no progress in {PATIENCE_S} s; see {folder}/log.txt")
            if steps_logged(folder) >= goal and (workers := workers_of(process)):
                if chance.random() < 0.5 and toll.workers < 2 * toll.starts:
                    chance.choice(workers).kill()
                    toll.workers += 1
                    goal, deadline = (
                        steps_logged(folder) + chance.randint(1, 4),
                        time.monotonic() + PATIENCE_S,
                    )
                else:
                    process.kill()
                    toll.drivers += 1
            time.sleep(0.05)
        if process.wait(PATIENCE_S) == 0:
            return toll


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
    """The samples of a finished search."""
    document = json.loads((folder / "runs" / "killed" / "result.json").read_text(encoding="utf-8"))
    return sorted(json.dumps(trial["sample"], sort_keys=True) for trial in document["trials"])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs to torment")
    parser.add_argument("--searches", type=int, default=2, help="searches to torment")
    parser.add_argument("--kills", type=int, default=5, help="kills of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    chance, lines = random.Random(arguments.seed), [machine(), ""]
    for module, count, result in (
        (TRAIN, arguments.runs, fingerprint),
        (TUNE, arguments.searches, trials),
    ):
        if not count:
            continue
        with tempfile.TemporaryDirectory() as quiet:
            torment(module, Path(quiet), 0, chance)
            expected = result(Path(quiet))
        equal = killed = 0
        for number in range(count):
            with tempfile.TemporaryDirectory() as folder:
                toll = torment(module, Path(folder), arguments.kills, chance)
                same = result(Path(folder)) == expected
            equal, killed = equal + same, killed + toll.kills
            said = (
                f"{toll.drivers} commands and {toll.workers} workers killed: {'equal' if same else 'DIFFERS'}"
            )
            print(f"{module.split()[0]} {number + 1} of {count}: {said}", flush=True)
        what = "runs end with the same bits" if module is TRAIN else "searches end with the same trials"
        lines.append(f"- {equal} of {count} {what} after {killed} kills")
    publish("Kills", lines, arguments.out)


if __name__ == "__main__":
    main()
