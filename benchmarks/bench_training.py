"""A training step against the usual ways, and the peak memory of one. `--quick` for a small model."""

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from shapes import last_labels, model, padded, tweets
from timing import ROUNDS, in_turn, machine, matmul_peak, publish

from tweetelm.config import OptimConfig
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.accounting import cost
from tweetelm.openelm.packing import pack
from tweetelm.precision import autocast
from tweetelm.training.optimiser import build_optimiser

CPU = torch.device("cpu")
BATCH = 16


def padded_steps(
    net: OpenELMForSequenceClassification,
    optimiser: torch.optim.Optimizer,
    rows: list[list[int]],
    how: str,
    bf16: bool,
) -> Callable[[], None]:
    """One optimiser step per padded batch of 16."""
    batches = list(padded(rows, BATCH))

    def run() -> None:
        net.set_attn_implementation(how)
        net.train()
        for batch in batches:
            with autocast("bf16" if bf16 else "float32", CPU):
                logits = net(**batch).logits.float()
            F.cross_entropy(logits, last_labels(len(logits))).backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    return run


def packed_steps(
    net: OpenELMForSequenceClassification,
    optimiser: torch.optim.Optimizer,
    rows: list[list[int]],
    size: int = BATCH,
) -> Callable[[], None]:
    """The same number of steps, packed, as `training.loop` runs them."""
    batches = [sorted(rows[start : start + size], key=len) for start in range(0, len(rows), size)]

    def run() -> None:
        net.set_attn_implementation("varlen")
        net.train()
        for batch in batches:
            with autocast("bf16", CPU):
                logits = net(**pack(batch).inputs()).logits.float()
            F.cross_entropy(logits, last_labels(len(logits))).backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    return run


def peak_memory(name: str, tokens: int, checkpointing: bool) -> None:
    """Two packed steps of `tokens` tokens in this process; prints its peak resident memory in GB."""
    net = model(name)
    if checkpointing:
        (getattr(net, "activation_checkpointing_enable", None) or net.gradient_checkpointing_enable)()
    optimiser = build_optimiser(net, OptimConfig(), 1e-5, net.config.num_transformer_layers)
    rows: list[list[int]] = []
    for row in tweets(400, net.config.vocab_size):
        if sum(map(len, rows)) + len(row) > tokens:
            break
        rows.append(row)
    step = packed_steps(net, optimiser, rows, size=len(rows))
    step()
    step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


def measure_memory(name: str, checkpointing: bool) -> float:
    """`peak_memory` in a fresh process."""
    line = [
        sys.executable,
        __file__,
        "--memory",
        "checkpointing" if checkpointing else "plain",
        "--model",
        name,
    ]
    return float(subprocess.run(line, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="scratch-4m in place of the 270M shape")
    parser.add_argument("--tweets", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--memory", choices=["plain", "checkpointing"], help=argparse.SUPPRESS)
    parser.add_argument("--model", default="openelm-270m", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.memory:
        peak_memory(arguments.model, 4096, arguments.memory == "checkpointing")
        return
    name = "scratch-4m" if arguments.quick else arguments.model
    lines = [machine(), ""]
    memory = {
        kind: measure_memory(name, kind == "with activation checkpointing")
        for kind in ("plain", "with activation checkpointing")
    }
    peak = matmul_peak(torch.bfloat16, CPU)
    net = model(name)
    optimiser = build_optimiser(net, OptimConfig(), 1e-5, net.config.num_transformer_layers)
    rows = tweets(arguments.tweets, net.config.vocab_size)
    sides = {
        "ours: packed, bf16": packed_steps(net, optimiser, rows),
        "padded to longest, eager, float32": padded_steps(net, optimiser, rows, "eager", bf16=False),
        "length-grouped, sdpa, bf16": padded_steps(net, optimiser, sorted(rows, key=len), "sdpa", bf16=True),
    }
    taken = in_turn(sides, arguments.rounds)
    ours, tokens = taken["ours: packed, bf16"].median, sum(map(len, rows))
    size = cost(net.config)
    done = 6 * (tokens * (size.linear - size.last_layer_saved) + len(rows) * size.last_layer_saved)
    steps = -(-len(rows) // BATCH)
    lines += [
        f"{name}, {len(rows)} tweets in {steps} steps, {tokens} tokens, AdamW, median of {arguments.rounds}",
        "",
    ]
    lines += ["| side | seconds | tokens/s | ours is faster by |", "|---|---|---|---|"]
    for side, seconds in taken.items():
        lines.append(f"| {side} | {seconds} | {tokens / seconds.median:.0f} | {seconds.median / ours:.2f} |")
    lines += [
        "",
        f"bf16 matrix product: {peak / 1e9:.0f} GFLOP/s; ours does {done / ours / 1e9:.0f} GFLOP/s of",
    ]
    lines += [
        f"needed work, {done / ours / peak:.0%} of it, optimiser included.",
        "",
        "Peak memory, 4,096 packed tokens, AdamW, one process:",
    ]
    lines += [f"- {kind}: {value:.2f} GB" for kind, value in memory.items()]
    publish("Training step", lines, arguments.out)


if __name__ == "__main__":
    main()
