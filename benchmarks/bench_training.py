"""Training throughput compared with common alternatives, and peak memory. Runs on a GPU if there is one.

Variants: ours as in training (on a CPU, fused layers on prefix trees); packed rows with torch's layers;
batches of similar length with SDPA; padded batches with eager attention in float32. The first three compute
in bfloat16 if the machine has it, else in float32.
"""

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.shapes import (
    Rows,
    alternating_labels,
    computed_tokens,
    model,
    padded,
    real_share,
    sample_rows,
    sorted_batches,
    to_device,
    tokens,
)
from benchmarks.timing import (
    PEAK,
    ROUNDS,
    Variant,
    machine,
    peak_variant,
    publish,
    run_interleaved,
    share_of_peak,
)
from tweetelm.config.train_config import OptimConfig
from tweetelm.encoding import pass_tokens
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.cpu.prefix_tree import PrefixTree
from tweetelm.openelm.cpu.training_layers import fuse_for_training
from tweetelm.openelm.flops import cost
from tweetelm.openelm.packing import pack
from tweetelm.precision import autocast, has_bf16, pick_device
from tweetelm.training.optimizer import build_optimizer
from tweetelm.training.sampler import micro_batches

DEVICE = pick_device()
GPU = DEVICE.type == "cuda"
BATCH = 32
OURS = "ours"
BF16 = has_bf16(DEVICE)
BEST = "bf16" if BF16 else "float32"
GROUPED = f"length-grouped, sdpa, {BEST}"
Model = OpenELMForSequenceClassification
Batches = list[tuple[dict[str, Any], int]]
"""Arguments of the model, and the number of tweets."""


def one_step(
    net: Model, optimizer: torch.optim.Optimizer, batches: Batches, how: str, *, bf16: bool = BF16
) -> Callable[[], None]:
    """A function that runs one optimizer step with gradients accumulated over `batches`."""
    rows = sum(tweets for _, tweets in batches)

    def run() -> None:
        net.set_attn_implementation(how)
        net.train()
        for inputs, tweets in batches:
            with autocast("bf16" if bf16 else "float32", DEVICE):
                logits = net(**to_device(DEVICE, inputs)).logits[:tweets].float()
            labels = alternating_labels(tweets).to(DEVICE)
            (F.cross_entropy(logits, labels, reduction="sum") / rows).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return run


def portions(rows: Rows) -> list[Rows]:
    """The micro-batches of one step, split as in training."""
    rows = sorted(rows, key=len)
    most = pass_tokens(DEVICE)
    found = micro_batches(range(len(rows)), [len(r) for r in rows], rank=0, world=1, micro_tokens=most)
    return [[rows[row] for row in portion] for portion in found]


def packed(rows: Rows) -> Batches:
    """The micro-batches of one step as packed rows."""
    return [(pack(portion).inputs(), len(portion)) for portion in portions(rows)]


def as_trained(net: Model, rows: Rows) -> Batches:
    """The micro-batches of one step as in training; fuses the layers of `net` on a CPU."""
    if not fuse_for_training(net):
        return packed(rows)
    return [(PrefixTree.of_one_pass(portion).inputs(), len(portion)) for portion in portions(rows)]


def in_batches(rows: Rows) -> Batches:
    """The step as padded batches."""
    return [(inputs, len(inputs["input_ids"])) for inputs in padded(rows, BATCH)]


def peak_memory(name: str, tokens_wanted: int, checkpointing: bool) -> None:
    """Run two packed steps of at most `tokens_wanted` tokens and print the peak memory in GB.

    The memory is that of the GPU if there is one, else of the process.
    """
    net = model(name).to(DEVICE)
    if checkpointing:
        (getattr(net, "activation_checkpointing_enable", None) or net.gradient_checkpointing_enable)()
    optimizer = build_optimizer(net, OptimConfig(), 1e-5, net.config.num_transformer_layers)
    rows: Rows = []
    for row in sample_rows(400, net.config.vocab_size):
        if tokens(rows) + len(row) <= tokens_wanted:
            rows.append(row)
    step = one_step(net, optimizer, as_trained(net, rows), "varlen")
    step()
    step()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print((torch.cuda.max_memory_allocated() if GPU else resident) / 1e9)


def measure_memory(name: str, checkpointing: bool) -> float:
    """Run `peak_memory` in a new process; returns GB."""
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
    parser.add_argument("--quick", action="store_true", help="use scratch-4m instead of openelm-270m")
    parser.add_argument("--tweets", type=int, default=896 if GPU else 112, help="tweets per packed step")
    parser.add_argument("--slow", type=int, default=256 if GPU else 64, help="tweets per float32 step")
    parser.add_argument("--no-memory", action="store_true", help="skip peak memory")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="number of rounds")
    parser.add_argument("--memory", choices=["plain", "checkpointing"], help=argparse.SUPPRESS)
    parser.add_argument("--model", default="openelm-270m", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="file of the report")
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
    rows, slow = sample_rows(arguments.tweets, vocabulary), sample_rows(arguments.slow, vocabulary)
    grouped = sorted_batches(max(2, arguments.tweets // BATCH), BATCH, vocabulary)
    variants = {
        PEAK: peak_variant(DEVICE),
        OURS: Variant(one_step(net, optimizer, as_trained(net, rows), "varlen"), tokens(rows)),
        f"packed, torch's layers, {BEST}": Variant(
            one_step(net, optimizer, packed(rows), "varlen"), tokens(rows)
        ),
        GROUPED: Variant(one_step(net, optimizer, in_batches(grouped), "sdpa"), tokens(grouped)),
        "padded to the longest, eager, float32": Variant(
            one_step(net, optimizer, in_batches(slow), "eager", bf16=False), tokens(slow)
        ),
    }
    timings = run_interleaved(variants, arguments.rounds)
    size = cost(net.config)
    computed = tokens(rows) if GPU else sum(computed_tokens(each, tokens(each)) for each in portions(rows))
    flop = 6.0 * (computed * (size.linear - size.last_layer_saved) + len(rows) * size.last_layer_saved)
    lines += [
        f"{name}, random weights. One step: ours {len(rows)} tweets ({tokens(rows)} tokens), packed; "
        f"length-grouped {len(grouped)} ({tokens(grouped)}) and padded {len(slow)} ({tokens(slow)}), in "
        f"batches of {BATCH}. Share of non-padding tokens: grouped {real_share(grouped, BATCH):.3f}, "
        f"padded {real_share(slow, BATCH):.2f}. Median of {arguments.rounds} rounds (lowest to highest).",
        "",
    ]
    lines += ["| variant | tokens/s | speedup of ours (wall) | speedup of ours (CPU) |", "|---|---|---|---|"]
    ours = timings[OURS]
    for variant, its in timings.items():
        if variant != PEAK:
            lines.append(f"| {variant} | {its.rate} | {ours.faster_than(its)} | {ours.cheaper_than(its)} |")
    lines += ["", share_of_peak(timings, OURS, flop) + " (optimizer included)"]
    if memory:
        lines += ["", "Peak memory, 4,096 packed tokens, AdamW, one process:", ""]
    lines += [f"- {kind}: {value:.2f} GB" for kind, value in memory.items()]
    publish("Training step", lines, arguments.out)


if __name__ == "__main__":
    main()
