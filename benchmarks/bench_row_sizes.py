"""CPU classification with rows rounded to few sizes, compared with rows of many sizes.

Every pass has different tweets, as in serving. The matrix library caches its kernels by size, so few sizes
mean more cache hits.
"""

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.published import publish as publish_model
from benchmarks.shapes import Rows, sample_rows
from benchmarks.timing import ROUNDS, Variant, machine, publish, run_interleaved
from tweetelm import registry as versions
from tweetelm.openelm.cpu.fused import fused_precision
from tweetelm.openelm.packing import Sizes, few_sizes, many_sizes, pack
from tweetelm.predictor import Predictor

TWEETS = 4000
PASSES = {1: 20, 8: 10, 32: 5}  # tweets per pass: passes of each variant per round
FEW = "few sizes"


def passes(predictor: Predictor, rows: Iterator[list[int]], size: int, sizes: Sizes) -> Variant:
    """A variant that classifies the next tweets of `rows`, `size` tweets per pass."""
    count = PASSES[size]

    def run() -> None:
        with torch.inference_mode():
            for _ in range(count):
                batch: Rows = list(itertools.islice(rows, size))
                predictor.model(**pack(batch, sizes=sizes).inputs())

    return Variant(run, float(count * size))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="openelm-270m", help="shape of the model")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="number of rounds")
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as registry:
        version = publish_model(Path(registry), arguments.preset)
        predictor = Predictor.load(versions.resolve("hate", registry=registry, version=version))
    if fused_precision(predictor.model) is None:
        raise SystemExit(
            f"{arguments.preset} has no fused layers on this processor, so there is nothing to compare"
        )
    vocabulary = predictor.model.config.vocab_size
    choices: dict[str, Sizes] = {FEW: few_sizes, "many sizes": many_sizes}
    lines = [machine(), ""]
    dtype = predictor.model.transformer.token_embeddings.weight.dtype
    lines += [
        f"{arguments.preset}, random weights, {str(dtype).removeprefix('torch.')}; every pass has "
        f"different tweets. Median of {arguments.rounds} rounds (lowest to highest) after one warm-up round.",
        "",
        "| tweets per pass | variant | tweets/s | speedup of few sizes |",
        "|---|---|---|---|",
    ]
    for size in PASSES:
        rows = itertools.cycle(sample_rows(TWEETS, vocabulary))
        variants = {name: passes(predictor, rows, size, sizes) for name, sizes in choices.items()}
        timings = run_interleaved(variants, arguments.rounds)
        few = timings[FEW]
        lines += [
            f"| {size} | {name} | {its.rate} | {few.faster_than(its)} |" for name, its in timings.items()
        ]
    publish("Row sizes", lines, arguments.out)


if __name__ == "__main__":
    main()
