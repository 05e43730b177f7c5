"""Start several commands at once on one run name: exactly one must train, the others must be rejected.

Rounds of two and of eight commands, with equal and with different configurations, on a folder and on a fake
S3 (moto); and rounds in which the training command is killed and started again. The commands follow
`python -m ray_jobs.train` (tests/support/run_commands.py), but write checkpoints without Ray Train.
"""

import argparse
import collections
import os
import platform
import random
import tempfile
import time
import uuid
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from tests.support.run_commands import BUSY, FINISHED, OTHER, STEPS, Answer, Commands, commands, configuration
from tests.support.s3 import BUCKET, object_storage
from tweetelm.files.object_storage import read

WORDS = {BUSY: "in use", OTHER: "another configuration", FINISHED: "already finished"}
HEAD = ("| storage | commands | configurations | rounds | rounds in which one trained | rejected: in use | "
        "another configuration | already finished | other | checkpoints lost |")  # fmt: skip


def outcome(answer: Answer) -> str:
    """The outcome of a command, as named in the table."""
    if answer.trained and answer.status == 0:
        return "trained"
    return next((name for message, name in WORDS.items() if message in answer.said), "other")


def checkpoints_intact(place: str, name: str) -> bool:
    """Whether the last two checkpoints of a run exist and come from one process."""
    folder = configuration(place, name, 1e-4).folder
    found = {read(f"{folder}/checkpoint_{step}/state.json") for step in (STEPS - 2, STEPS - 1)}
    return len(found) == 1 and None not in found


def rounds(running: Commands, place: str, label: str, count: int, *, same: bool) -> str:
    """Run `count` rounds and return their table row."""
    size = len(running.processes)
    outcomes: collections.Counter[str] = collections.Counter()
    one = lost = 0
    for _ in range(count):
        name = f"run-{uuid.uuid4().hex[:8]}"
        rates = [1e-4 if same else (each + 1) * 1e-4 for each in range(size)]
        results = [
            outcome(answer) for answer in running.run_together("train", [(place, name, lr) for lr in rates])
        ]
        one += results.count("trained") == 1
        lost += not checkpoints_intact(place, name)
        outcomes.update(results)
    kind = "equal" if same else "different"
    shares = " | ".join(str(outcomes[word]) for word in (*WORDS.values(), "other"))
    print(f"{label}, {size} commands, {kind}: done", flush=True)
    return f"| {label} | {size} | {kind} | {count} | {one} | {shares} | {lost} |"


def killed(place: str, environment: Mapping[str, str], label: str, count: int, seed: int) -> str:
    """Kill a training command at a random time and start it again, `count` times."""
    rng, resumed = random.Random(seed), 0
    with commands(1, environment) as again:
        for number in range(count):
            name = f"killed-{number}-{uuid.uuid4().hex[:6]}"
            with commands(1, environment) as first:
                first.send("train", [(place, name, 1e-4)])
                time.sleep(0.05 + rng.uniform(0, 0.15))
            (answer,) = again.run_together("train", [(place, name, 1e-4)])
            resumed += outcome(answer) in ("trained", "already finished") and checkpoints_intact(place, name)
    print(f"{label}, killed: done", flush=True)
    return f"{label}: {count} commands killed during training; {resumed} finished after a restart."


def campaign(place: str, environment: Mapping[str, str], label: str, count: int) -> tuple[list[str], str]:
    """All rounds on one kind of storage."""
    rows = []
    for size in (2, 8):
        with commands(size, environment) as running:
            rows += [rounds(running, place, label, count, same=same) for same in (True, False)]
    return rows, killed(place, environment, label, max(1, count // 2), seed=count)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="rounds per row of the table")
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows, line = campaign(folder, {}, "folder", arguments.rounds)
    lines = [line]
    with object_storage() as environment:
        os.environ.update(environment)
        more, line = campaign(f"s3://{BUCKET}/runs", environment, "object storage (moto)", arguments.rounds)
    lines.append(line)
    about = f"{date.today()}, Python {platform.python_version()}, {os.cpu_count()} CPUs."
    table = "\n".join([HEAD, "|---" * 10 + "|", *rows, *more])
    text = "\n\n".join(["# Concurrent commands on one run", about, table, *lines])
    print(f"\n{text}")
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
