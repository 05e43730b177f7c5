"""Does bfloat16 change verdicts? A published model's test split in bfloat16 and in float32."""

import argparse
from pathlib import Path

from benchmarks.timing import machine, publish
from tweetelm.data import load
from tweetelm.openelm.accounting import cost
from tweetelm.predictor import Predictor


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a published version or a training checkpoint")
    parser.add_argument("--data", default="data", help="folder of the data, or sample")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    exact = Predictor.load(arguments.folder, precision="float32")
    half = Predictor.load(arguments.folder, precision="bf16")
    texts = load(exact.task, arguments.data)["test"]["text"]
    pairs = list(zip(exact.predict(texts), half.predict(texts), strict=True))
    same = sum(a.label == b.label for a, b in pairs) / len(pairs)
    apart = [abs(a.probabilities[-1] - b.probabilities[-1]) for a, b in pairs]
    lines = [
        machine(),
        "",
        f"{exact.task.name}, {len(pairs)} test rows, {cost(exact.model.config).parameters:,} parameters",
        "",
    ]
    mean = sum(apart) / len(apart)
    lines += [f"same label: {same:.2%}; probability apart by {mean:.5f} on average, {max(apart):.4f} at most"]
    publish("bfloat16 against float32", lines, arguments.out)


if __name__ == "__main__":
    main()
