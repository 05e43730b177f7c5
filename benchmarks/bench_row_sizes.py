"""Classification on a CPU, each pass with other tweets as a service has them: rows of few sizes, for which
the matrix library has its kernels at hand, against rows of many."""

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.published import publish as publish_model
from benchmarks.shapes import Rows, arriving
from benchmarks.timing import ROUNDS, Side, in_turn, machine, publish
from tweetelm import registry as versions
from tweetelm.openelm.inference.onednn import is_prepacked
from tweetelm.openelm.packing import Sizes, few_sizes, many_sizes, pack
from tweetelm.predictor import Predictor

TWEETS = 4000
TOGETHER = {1: 20, 8: 10, 32: 5}  # tweets in a pass, and passes of each side in a round
FEW = "few sizes"


def passes(predictor: Predictor, rows: Iterator[list[int]], together: int, sizes: Sizes) -> Side:
    """The next passes over so many tweets."""
    count = TOGETHER[together]

    def run() -> None:
        with torch.inference_mode():
            for _ in range(count):
                batch: Rows = list(itertools.islice(rows, together))
                predictor.model(**pack(batch, sizes=sizes).inputs())

    return Side(run, float(count * together))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="openelm-270m")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as registry:
        version = publish_model(Path(registry), arguments.preset)
        predictor = Predictor.load(versions.resolve("hate", registry=registry, version=version))
    if not is_prepacked(predictor.model):
        raise SystemExit(
            f"{arguments.preset} is not prepacked on this processor: there is nothing to compare"
        )
    vocabulary = predictor.model.config.vocab_size
    ways: dict[str, Sizes] = {FEW: few_sizes, "many sizes": many_sizes}
    lines = [machine(), ""]
    dtype = predictor.model.transformer.token_embeddings.weight.dtype
    lines += [
        f"{arguments.preset}, random weights, {str(dtype).removeprefix('torch.')}; no two passes have the "
        f"same tweets. Median of {arguments.rounds} rounds (lowest to highest), one more not counted.",
        "",
        "| tweets in a pass | side | tweets/s | few sizes are faster by |",
        "|---|---|---|---|",
    ]
    for together in TOGETHER:
        rows = itertools.cycle(arriving(TWEETS, vocabulary))
        sides = {name: passes(predictor, rows, together, sizes) for name, sizes in ways.items()}
        taken = in_turn(sides, arguments.rounds)
        few = taken[FEW]
        lines += [
            f"| {together} | {name} | {its.rate} | {few.faster_than(its)} |" for name, its in taken.items()
        ]
    publish("Sizes of rows", lines, arguments.out)


if __name__ == "__main__":
    main()
