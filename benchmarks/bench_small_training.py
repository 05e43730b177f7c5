"""Training throughput of a small model on a CPU.

Compares rows rounded to few sizes with rows of any size, and torch's own float32 matrix products in
attention with oneDNN's. Every step has different tweets, as in a real run.
"""

import argparse
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.shapes import Rows, alternating_labels, model, sample_rows, tokens
from benchmarks.timing import ROUNDS, Variant, machine, publish, run_interleaved
from tweetelm.config.train_config import OptimConfig
from tweetelm.openelm.packing import Sizes, many_sizes, pack
from tweetelm.precision import autocast
from tweetelm.training.optimizer import build_optimizer
from tweetelm.training.sampler import epoch_steps

CPU = torch.device("cpu")
TWEETS, BATCH_TOKENS = 4000, 2048
OURS = "round sizes"


def steps(rows: Rows) -> Iterator[Rows]:
    """An infinite sequence of training steps, batched as in training."""
    lengths = [len(row) for row in rows]
    for epoch in itertools.count():
        for members in epoch_steps(lengths, batch_tokens=BATCH_TOKENS, seed=0, epoch=epoch):
            yield [rows[row] for row in members]


def training(name: str, rows: Rows, count: int, *, sizes: Sizes | None, product: str) -> Callable[[], None]:
    """A function that runs the next `count` steps of a new model."""
    net = model(name).train()
    optimizer = build_optimizer(net, OptimConfig(), 1e-5, net.config.num_transformer_layers)
    batches = steps(rows)

    def run() -> None:
        torch.set_float32_matmul_precision(product)
        for batch in itertools.islice(batches, count):
            packed = pack(batch, sizes=sizes)
            with autocast("auto", CPU):
                logits = net(**packed.inputs()).logits[: len(batch)].float()
            F.cross_entropy(logits, alternating_labels(len(batch))).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return run


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="scratch-4m", help="shape of the model")
    parser.add_argument("--steps", type=int, default=40, help="steps of each variant per round")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="number of rounds")
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = sample_rows(TWEETS, model(arguments.model).config.vocab_size)
    amount = arguments.steps * float(tokens(next(steps(rows))))
    choices = {
        OURS: (many_sizes, "highest"),
        "unrounded sizes": (None, "highest"),
        "unrounded sizes, attention with oneDNN": (None, "medium"),
    }
    variants = {
        name: Variant(training(arguments.model, rows, arguments.steps, sizes=sizes, product=product), amount)
        for name, (sizes, product) in choices.items()
    }
    timings = run_interleaved(variants, arguments.rounds)
    lines = [
        machine(),
        "",
        f"{arguments.model}, random weights, {arguments.steps} steps of about {BATCH_TOKENS} tokens per "
        f"variant and round, all different. Median of {arguments.rounds} rounds (lowest to highest).",
        "",
        "| variant | tokens/s | speedup of round sizes (wall) | speedup of round sizes (CPU) |",
        "|---|---|---|---|",
    ]
    ours = timings[OURS]
    lines += [
        f"| {name} | {its.rate} | {ours.faster_than(its)} | {ours.cheaper_than(its)} |"
        for name, its in timings.items()
    ]
    publish("Small-model training", lines, arguments.out)


if __name__ == "__main__":
    main()
