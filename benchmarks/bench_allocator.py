"""A training step on a CPU as workers run it, compared with common length-grouped batches, and with both
memory allocators: glibc's, and that of the workers.

Each round starts a process for each variant in turn, and measures its steps after two warm-up steps.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench_training import BATCH, GROUPED, OURS, as_trained, in_batches, one_step
from benchmarks.shapes import model, sample_rows, sorted_batches, tokens
from benchmarks.timing import Spread, machine, publish
from tweetelm.cli.allocator import preloaded
from tweetelm.config.train_config import OptimConfig
from tweetelm.precision import use_fast_float32
from tweetelm.training.optimizer import build_optimizer

ALLOCATORS: dict[str, dict[str, str]] = {"glibc": {}, "jemalloc": preloaded()}
VARIANTS = [(way, name) for way in (GROUPED, OURS) for name in ALLOCATORS]
WARM_UP = 2


@dataclass(frozen=True)
class Cost:
    """Tokens per second and peak memory of a process."""

    rate: float
    gigabytes: float


def steps(preset: str, way: str, tweets: int, count: int) -> None:
    """Run steps in this process; print tokens per second and peak memory in GB."""
    net = model(preset)
    optimizer = build_optimizer(net, OptimConfig(), 1e-5, net.config.num_transformer_layers)
    vocabulary = net.config.vocab_size
    if way == OURS:
        use_fast_float32(net)
        rows = sample_rows(tweets, vocabulary)
        step = one_step(net, optimizer, as_trained(net, rows), "varlen")
    else:
        rows = sorted_batches(max(1, tweets // BATCH), BATCH, vocabulary)
        step = one_step(net, optimizer, in_batches(rows), "sdpa")
    for _ in range(WARM_UP):
        step()
    began = time.perf_counter()
    for _ in range(count):
        step()
    rate = tokens(rows) * count / (time.perf_counter() - began)
    print(rate, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


def measure(way: str, name: str, arguments: argparse.Namespace) -> Cost:
    """Run `steps` in a process with an allocator."""
    line = [sys.executable, "-m", "benchmarks.bench_allocator", "--child", way, "--preset", arguments.preset]
    line += ["--tweets", str(arguments.tweets), "--steps", str(arguments.steps)]
    env = os.environ | ALLOCATORS[name]
    done = subprocess.run(line, env=env, check=True, capture_output=True, text=True)
    return Cost(*map(float, done.stdout.split()))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="openelm-270m", help="shape of the model")
    parser.add_argument("--tweets", type=int, default=64, help="tweets per step, a multiple of 32")
    parser.add_argument("--steps", type=int, default=4, help="measured steps per process")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    if arguments.child:
        steps(arguments.preset, arguments.child, arguments.tweets, arguments.steps)
        return
    lines = [machine(), ""]
    found: dict[tuple[str, str], list[Cost]] = {variant: [] for variant in VARIANTS}
    for number in range(arguments.rounds):
        for variant, costs in found.items():
            costs.append(measure(*variant, arguments))
        print(f"round {number + 1} of {arguments.rounds}", flush=True)
    lines += [
        f"{arguments.preset}, {arguments.tweets} tweets per step, AdamW, {arguments.steps} steps per process "
        f"after {WARM_UP}; {arguments.rounds} rounds: median (lowest to highest).",
        "",
        "| variant | allocator | tokens/s | speedup | peak memory, GB |",
        "|---|---|---|---|---|",
    ]
    first = found[VARIANTS[0]]
    for (way, name), costs in found.items():
        speedup = Spread([b.rate / a.rate for a, b in zip(first, costs, strict=True)])
        rate, memory = Spread([c.rate for c in costs]), Spread([c.gigabytes for c in costs])
        lines.append(f"| {way} | {name} | {rate} | {speedup} | {memory} |")
    publish("Training step and memory allocator", lines, arguments.out)


if __name__ == "__main__":
    main()
