"""A training step of the 270M shape on a CPU with the workers' memory allocator, compared with glibc's.

Each round starts a process for each allocator in turn, and measures its steps after two warm-up steps.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench_training import one_step, packed
from benchmarks.shapes import model, sample_rows
from benchmarks.timing import Spread, machine, publish
from ray_jobs.training.worker_environment import allocator
from tweetelm.config.train_config import OptimConfig
from tweetelm.precision import has_bf16, pick_device
from tweetelm.training.optimizer import build_optimizer

ENVIRONMENTS: dict[str, dict[str, str]] = {"glibc": {}, "jemalloc": allocator()}
WARM_UP = 2


@dataclass(frozen=True)
class Cost:
    """Seconds per step and peak memory of a process."""

    seconds: float
    gigabytes: float


def steps(preset: str, tweets: int, count: int) -> None:
    """Run steps in this process; print seconds per step and peak memory in GB."""
    net = model(preset)
    optimizer = build_optimizer(net, OptimConfig(), 1e-5, net.config.num_transformer_layers)
    batches = packed(sample_rows(tweets, net.config.vocab_size))
    step = one_step(net, optimizer, batches, "varlen", has_bf16(pick_device("cpu")))
    for _ in range(WARM_UP):
        step()
    began = time.perf_counter()
    for _ in range(count):
        step()
    seconds = (time.perf_counter() - began) / count
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


def measure(name: str, arguments: argparse.Namespace) -> Cost:
    """Run `steps` in a process with an allocator."""
    line = [sys.executable, "-m", "benchmarks.bench_allocator", "--child", "--preset", arguments.preset]
    line += ["--tweets", str(arguments.tweets), "--steps", str(arguments.steps)]
    env = os.environ | ENVIRONMENTS[name]
    done = subprocess.run(line, env=env, check=True, capture_output=True, text=True)
    return Cost(*map(float, done.stdout.split()))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="openelm-270m", help="shape of the model")
    parser.add_argument("--tweets", type=int, default=54, help="tweets per step")
    parser.add_argument("--steps", type=int, default=4, help="measured steps per process")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    if arguments.child:
        steps(arguments.preset, arguments.tweets, arguments.steps)
        return
    lines = [machine(), ""]
    found: dict[str, list[Cost]] = {name: [] for name in ENVIRONMENTS}
    for number in range(arguments.rounds):
        for name, costs in found.items():
            costs.append(measure(name, arguments))
        print(f"round {number + 1} of {arguments.rounds}", flush=True)
    glibc = found["glibc"]
    lines += [
        f"{arguments.preset}, {arguments.tweets} tweets per step, AdamW, {arguments.steps} steps per process "
        f"after {WARM_UP}; {arguments.rounds} rounds: median (lowest to highest).",
        "",
        "| allocator | seconds per step | speedup | peak memory, GB |",
        "|---|---|---|---|",
    ]
    for name, costs in found.items():
        speedup = Spread([a.seconds / b.seconds for a, b in zip(glibc, costs, strict=True)])
        seconds, memory = Spread([c.seconds for c in costs]), Spread([c.gigabytes for c in costs])
        lines.append(f"| {name} | {seconds} | {speedup} | {memory} |")
    publish("Memory allocator of training", lines, arguments.out)


if __name__ == "__main__":
    main()
