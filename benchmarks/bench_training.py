"""A training step against the usual ways, and the peak memory of one: on a GPU, if there is one. `--quick`
for a small model."""

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.shapes import Rows, arriving, last_labels, model, on, padded, sorted_batches, tokens, useful
from benchmarks.timing import PEAK, ROUNDS, Side, in_turn, machine, peak_side, publish, share_of_peak
from tweetelm.config.train_config import OptimConfig
from tweetelm.encoding import pass_tokens
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.flops import cost
from tweetelm.openelm.packing import pack
from tweetelm.precision import autocast, pick_device
from tweetelm.training.optimizer import build_optimizer
from tweetelm.training.sampler import micro_batches

DEVICE = pick_device()
GPU = DEVICE.type == "cuda"
BATCH = 32
OURS = "ours: packed, bf16"
Model = OpenELMForSequenceClassification


def one_step(
    net: Model, optimizer: torch.optim.Optimizer, batches: list[dict[str, Any]], how: str, bf16: bool
) -> Callable[[], None]:
    """One optimizer step, its batches accumulated."""
    rows = sum(len(batch.get("cu_seq_lens_q", [0])) - 1 or len(batch["input_ids"]) for batch in batches)

    def run() -> None:
        net.set_attn_implementation(how)
        net.train()
        for batch in batches:
            with autocast("bf16" if bf16 else "float32", DEVICE):
                logits = net(**on(DEVICE, batch)).logits.float()
            labels = last_labels(len(logits)).to(DEVICE)
            (F.cross_entropy(logits, labels, reduction="sum") / rows).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return run


def packed(rows: Rows) -> list[dict[str, Any]]:
    """A step in packed portions, as training cuts it."""
    rows = sorted(rows, key=len)
    most = pass_tokens(DEVICE)
    portions = micro_batches(range(len(rows)), [len(r) for r in rows], rank=0, world=1, micro_tokens=most)
    return [pack([rows[row] for row in portion]).inputs() for portion in portions]


def peak_memory(name: str, tokens_wanted: int, checkpointing: bool) -> None:
    """Two packed steps of at most `tokens_wanted` tokens; prints the process's or the GPU's peak memory in
    GB."""
    net = model(name).to(DEVICE)
    if checkpointing:
        (getattr(net, "activation_checkpointing_enable", None) or net.gradient_checkpointing_enable)()
    optimizer = build_optimizer(net, OptimConfig(), 1e-5, net.config.num_transformer_layers)
    rows: Rows = []
    for row in arriving(400, net.config.vocab_size):
        if tokens(rows) + len(row) <= tokens_wanted:
            rows.append(row)
    step = one_step(net, optimizer, packed(rows), "varlen", bf16=True)
    step()
    step()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print((torch.cuda.max_memory_allocated() if GPU else resident) / 1e9)


def measure_memory(name: str, checkpointing: bool) -> float:
    """`peak_memory` in a fresh process."""
    line = [
        sys.executable,
        "-m",
        "benchmarks.bench_training",
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
    parser.add_argument("--tweets", type=int, default=896 if GPU else 112, help="of a packed step")
    parser.add_argument("--slow", type=int, default=256 if GPU else 64, help="tweets of a step in float32")
    parser.add_argument("--no-memory", action="store_true", help="leave out peak memory")
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
    kinds = [] if arguments.no_memory else ["plain", "with activation checkpointing"]
    memory = {kind: measure_memory(name, kind != "plain") for kind in kinds}
    net = model(name).to(DEVICE)
    optimizer = build_optimizer(net, OptimConfig(), 1e-5, net.config.num_transformer_layers)
    vocabulary = net.config.vocab_size
    rows, slow = arriving(arguments.tweets, vocabulary), arriving(arguments.slow, vocabulary)
    grouped = sorted_batches(max(2, arguments.tweets // BATCH), BATCH, vocabulary)
    sides = {
        PEAK: peak_side(DEVICE),
        OURS: Side(one_step(net, optimizer, packed(rows), "varlen", bf16=True), tokens(rows)),
        "length-grouped, sdpa, bf16": Side(
            one_step(net, optimizer, list(padded(grouped, BATCH)), "sdpa", bf16=True), tokens(grouped)
        ),
        "padded to the longest, eager, float32": Side(
            one_step(net, optimizer, list(padded(slow, BATCH)), "eager", bf16=False), tokens(slow)
        ),
    }
    taken = in_turn(sides, arguments.rounds)
    size = cost(net.config)
    flop = 6.0 * (tokens(rows) * (size.linear - size.last_layer_saved) + len(rows) * size.last_layer_saved)
    lines += [
        f"{name}, random weights. A step: ours {len(rows)} tweets ({tokens(rows)} tokens) packed; "
        f"grouped {len(grouped)} ({tokens(grouped)}) and padded {len(slow)} ({tokens(slow)}) in batches of "
        f"{BATCH}, of whose tokens {useful(grouped, BATCH):.3f} and {useful(slow, BATCH):.2f} are real. "
        f"Median of {arguments.rounds} rounds (lowest to highest).",
        "",
    ]
    lines += ["| side | tokens/s | ours is faster by | in processor seconds |", "|---|---|---|---|"]
    ours = taken[OURS]
    for side, its in taken.items():
        if side != PEAK:
            lines.append(f"| {side} | {its.rate} | {ours.faster_than(its)} | {ours.cheaper_than(its)} |")
    lines += ["", share_of_peak(taken, OURS, flop) + " (optimizer included)"]
    if memory:
        lines += ["", "Peak memory, 4,096 packed tokens, AdamW, one process:", ""]
    lines += [f"- {kind}: {value:.2f} GB" for kind, value in memory.items()]
    publish("Training step", lines, arguments.out)


if __name__ == "__main__":
    main()
