"""Training steps of a small model, each with other tweets as in a real run: rows of round sizes against rows
as they come, and torch's own float32 products in attention against oneDNN's."""

import argparse
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.shapes import Rows, arriving, last_labels, model, tokens
from benchmarks.timing import ROUNDS, Side, in_turn, machine, publish
from tweetelm.config.train_config import OptimConfig
from tweetelm.openelm.packing import Sizes, many_sizes, pack
from tweetelm.precision import autocast
from tweetelm.training.optimizer import build_optimizer
from tweetelm.training.sampler import epoch_steps

CPU = torch.device("cpu")
TWEETS, BATCH_TOKENS = 4000, 2048
OURS = "round sizes"


def steps(rows: Rows) -> Iterator[Rows]:
    """Steps without end, laid out as training lays them out."""
    lengths = [len(row) for row in rows]
    for epoch in itertools.count():
        for members in epoch_steps(lengths, batch_tokens=BATCH_TOKENS, seed=0, epoch=epoch):
            yield [rows[row] for row in members]


def training(name: str, rows: Rows, count: int, *, sizes: Sizes | None, product: str) -> Callable[[], None]:
    """The next `count` steps of a model of its own."""
    net = model(name).train()
    optimizer = build_optimizer(net, OptimConfig(), 1e-5, net.config.num_transformer_layers)
    coming = steps(rows)

    def run() -> None:
        torch.set_float32_matmul_precision(product)
        for batch in itertools.islice(coming, count):
            packed = pack(batch, sizes=sizes)
            with autocast("auto", CPU):
                logits = net(**packed.inputs()).logits[: len(batch)].float()
            F.cross_entropy(logits, last_labels(len(batch))).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return run


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="scratch-4m")
    parser.add_argument("--steps", type=int, default=40, help="of each side in a round")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = arriving(TWEETS, model(arguments.model).config.vocab_size)
    amount = arguments.steps * float(tokens(next(steps(rows))))
    ways = {
        OURS: (many_sizes, "highest"),
        "sizes as they come": (None, "highest"),
        "sizes as they come, attention through oneDNN": (None, "medium"),
    }
    sides = {
        name: Side(training(arguments.model, rows, arguments.steps, sizes=sizes, product=product), amount)
        for name, (sizes, product) in ways.items()
    }
    taken = in_turn(sides, arguments.rounds)
    lines = [
        machine(),
        "",
        f"{arguments.model}, random weights, steps of about {BATCH_TOKENS} tokens, {arguments.steps} of each "
        f"side in a round, all different. Median of {arguments.rounds} rounds (lowest to highest).",
        "",
        "| side | tokens/s | round sizes are faster by | in processor seconds |",
        "|---|---|---|---|",
    ]
    ours = taken[OURS]
    lines += [
        f"| {name} | {its.rate} | {ours.faster_than(its)} | {ours.cheaper_than(its)} |"
        for name, its in taken.items()
    ]
    publish("Training steps of a small model", lines, arguments.out)


if __name__ == "__main__":
    main()
