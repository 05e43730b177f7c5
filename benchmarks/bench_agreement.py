"""Does precision change verdicts, or the way they are asked for?

A published model's test split in float32 and in bfloat16, asked of a `Predictor` and over HTTP, and read from
the version's own evaluation where it has one.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from starlette.testclient import TestClient

from benchmarks.timing import machine, publish
from serve.api import create_api
from serve.inference.engine import Engine
from tests.support.tweets import portions
from tweetelm.data import load
from tweetelm.openelm.flops import cost
from tweetelm.precision import Precision
from tweetelm.predictor import Predictor

Probabilities = Sequence[Sequence[float]]


def predicted(predictor: Predictor, texts: list[str]) -> Probabilities:
    """By the library itself."""
    return [one.probabilities for one in predictor.predict(texts)]


def served(predictor: Predictor, texts: list[str]) -> Probabilities:
    """Over the API, in portions of 1 to 32."""
    with TestClient(create_api(Engine({predictor.task.name: predictor}))) as client:
        answers = [client.post("/v1/classify", json={"input": portion}).json() for portion in portions(texts)]
    return [one["probs"] for answer in answers for one in answer["data"]]


def evaluated(folder: Path, labels: Sequence[str]) -> Probabilities:
    """As the version's evaluation has them; none if it has no evaluation."""
    path = folder / "evaluation" / "predictions-test.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        return [[float(row[label]) for label in labels] for row in csv.DictReader(file)]


def apart(name: str, left: Probabilities, right: Probabilities) -> str:
    """Of the positive label, and how many verdicts are the same."""
    pairs = list(zip(left, right, strict=True))
    same = sum((a[-1] > a[0]) == (b[-1] > b[0]) for a, b in pairs) / len(pairs)
    distances = [abs(a[-1] - b[-1]) for a, b in pairs]
    mean, most = sum(distances) / len(pairs), max(distances)
    return (
        f"- {name}: {same:.2%} the same verdict; probability {mean:.1e} apart on average, {most:.1e} at most"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a published version or a training checkpoint")
    parser.add_argument("--data", default="data", help="folder of the data, or sample")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    both: tuple[Precision, ...] = ("float32", "bf16")
    exact, half = (Predictor.load(arguments.folder, device="cpu", precision=precision) for precision in both)
    texts = list(load(exact.task, arguments.data)["test"]["text"])
    truth = predicted(exact, texts)
    size = cost(exact.model.config).parameters
    lines = [machine(), "", f"{exact.task.name}, {len(texts)} test rows, {size:,} parameters:", ""]
    lines.append(apart("float32 over HTTP, against the predictor", served(exact, texts), truth))
    if found := evaluated(arguments.folder, exact.labels):
        lines.append(apart("the evaluation's, against the predictor", found, truth))
    lines.append(apart("bfloat16, against float32", predicted(half, texts), truth))
    lines.append(apart("bfloat16 over HTTP, against float32", served(half, texts), truth))
    publish("The same answers", lines, arguments.out)


if __name__ == "__main__":
    main()
