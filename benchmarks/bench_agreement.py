"""Compare predictions across precisions and across the library, the API and the stored evaluation.

Classifies the test split of a published model in float32 and in bfloat16, with a `Predictor` and over HTTP.
The predictions in the version's evaluation are compared too, if it has one.
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
    """Class probabilities from `Predictor.predict`."""
    return [row.probabilities for row in predictor.predict(texts)]


def served(predictor: Predictor, texts: list[str]) -> Probabilities:
    """Class probabilities over HTTP, in requests of 1 to 32 texts."""
    with TestClient(create_api(Engine({predictor.task.name: predictor}))) as client:
        answers = [client.post("/v1/classify", json={"input": portion}).json() for portion in portions(texts)]
    return [row["probs"] for answer in answers for row in answer["data"]]


def evaluated(folder: Path, labels: Sequence[str]) -> Probabilities:
    """Class probabilities from the version's evaluation; empty if it has none."""
    path = folder / "evaluation" / "predictions-test.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        return [[float(row[label]) for label in labels] for row in csv.DictReader(file)]


def agreement(name: str, left: Probabilities, right: Probabilities) -> str:
    """Share of equal predicted labels, and differences in the positive label's probability."""
    pairs = list(zip(left, right, strict=True))
    same = sum((a[-1] > a[0]) == (b[-1] > b[0]) for a, b in pairs) / len(pairs)
    differences = [abs(a[-1] - b[-1]) for a, b in pairs]
    mean, largest = sum(differences) / len(pairs), max(differences)
    return (
        f"- {name}: {same:.2%} equal labels; difference in probability: mean {mean:.1e}, "
        f"maximum {largest:.1e}"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a published version or a training checkpoint")
    parser.add_argument("--data", default="data", help="folder of the dataset, or sample")
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    precisions: tuple[Precision, ...] = ("float32", "bf16")
    exact, half = (
        Predictor.load(arguments.folder, device="cpu", precision=precision) for precision in precisions
    )
    texts = list(load(exact.task, arguments.data)["test"]["text"])
    truth = predicted(exact, texts)
    size = cost(exact.model.config).parameters
    lines = [machine(), "", f"{exact.task.name}, {len(texts)} test rows, {size:,} parameters:", ""]
    lines.append(agreement("float32, API against library", served(exact, texts), truth))
    if found := evaluated(arguments.folder, exact.labels):
        lines.append(agreement("float32, stored evaluation against library", found, truth))
    lines.append(agreement("library, bfloat16 against float32", predicted(half, texts), truth))
    lines.append(agreement("bfloat16 API against float32 library", served(half, texts), truth))
    publish("Prediction agreement", lines, arguments.out)


if __name__ == "__main__":
    main()
