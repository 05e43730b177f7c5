"""Commands that start in the same moment under one name: does one train, and what are the others told?

Rounds of two and of eight commands of the same configuration, and of different ones, on a folder and on a
local stand-in for S3; and rounds in which the command that trains is killed and the same is typed again. They
go the way of `python -m ray_jobs.train` (tests/support/run_commands.py), but for Ray Train: checkpoints are
written
in place of what it does.
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
HEAD = ("| place | commands | configurations | rounds | rounds with one that trained | others told: in use | "
        "another configuration | already finished | anything else | checkpoints lost |")  # fmt: skip


def outcome(answer: Answer) -> str:
    """What a command came to, in a word of the table."""
    if answer.trained and answer.status == 0:
        return "trained"
    return next((told for word, told in WORDS.items() if word in answer.said), "anything else")


def kept(place: str, name: str) -> bool:
    """Whether the last two checkpoints of a run are there, written by one process."""
    folder = configuration(place, name, 1e-4).folder
    found = {read(f"{folder}/checkpoint_{step}/state.json") for step in (STEPS - 2, STEPS - 1)}
    return len(found) == 1 and None not in found


def rounds(running: Commands, place: str, label: str, count: int, *, same: bool) -> str:
    """A row of the table."""
    size = len(running.processes)
    told: collections.Counter[str] = collections.Counter()
    one = lost = 0
    for _ in range(count):
        name = f"run-{uuid.uuid4().hex[:8]}"
        rates = [1e-4 if same else (each + 1) * 1e-4 for each in range(size)]
        came_to = [
            outcome(answer) for answer in running.together("train", [(place, name, lr) for lr in rates])
        ]
        one += came_to.count("trained") == 1
        lost += not kept(place, name)
        told.update(came_to)
    kind = "the same" if same else "different"
    shares = " | ".join(str(told[word]) for word in (*WORDS.values(), "anything else"))
    print(f"{label}, {size} commands, {kind}: done", flush=True)
    return f"| {label} | {size} | {kind} | {count} | {one} | {shares} | {lost} |"


def killed(place: str, environment: Mapping[str, str], label: str, count: int, seed: int) -> str:
    """Kill the command that trains at a random moment and type it again."""
    dice, resumed = random.Random(seed), 0
    with commands(1, environment) as again:
        for number in range(count):
            name = f"killed-{number}-{uuid.uuid4().hex[:6]}"
            with commands(1, environment) as first:
                first.send("train", [(place, name, 1e-4)])
                time.sleep(0.05 + dice.uniform(0, 0.15))
            (answer,) = again.together("train", [(place, name, 1e-4)])
            resumed += outcome(answer) in ("trained", "already finished") and kept(place, name)
    print(f"{label}, killed: done", flush=True)
    return f"{label}: {count} commands killed in training; the same command then ended well: {resumed}."


def campaign(place: str, environment: Mapping[str, str], label: str, count: int) -> tuple[list[str], str]:
    """All rounds in one kind of place."""
    rows = []
    for size in (2, 8):
        with commands(size, environment) as running:
            rows += [rounds(running, place, label, count, same=same) for same in (True, False)]
    return rows, killed(place, environment, label, max(1, count // 2), seed=count)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--out", type=Path, help="write the result there, too")
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
    text = "\n\n".join(["# Commands that meet on one run", about, table, *lines])
    print(f"\n{text}")
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
