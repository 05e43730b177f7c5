"""Evasion attacks and the behavioral suite on published versions and TF-IDF.

For every version: attack success and clean metric without and with `text.defend`, then the behavioral suite.
For TF-IDF, which trains in a second: the effect of training with `text.defend` on clean tweets.
Run `python -m benchmarks.bench_evasion`.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import DatasetDict

from tweetelm.config.text_config import TextConfig
from tweetelm.data import load
from tweetelm.evaluation.behavior.suite import behavior
from tweetelm.evaluation.evaluate import labels_of
from tweetelm.evaluation.metrics import quick_score
from tweetelm.evaluation.report.document import Cell, Interval, Section
from tweetelm.evaluation.robustness.evasion import evasion
from tweetelm.predictor import Predictor
from tweetelm.tasks import TASKS, Task
from tweetelm.text.normalize import normalize

OPTIONS = (
    "strip_invisible",
    "fold_lookalikes",
    "strip_marks",
    "fold_leetspeak",
    "shorten_stretches",
    "defend",
)


@dataclass(frozen=True)
class TfidfPrediction:
    label: str
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Tfidf:
    """TF-IDF features and logistic regression, after the project's text normalization."""

    task: Task
    text: TextConfig
    vectorizer: Any
    model: Any
    version: str = "tf-idf"
    threshold: float | None = None

    @classmethod
    def fit(cls, task: Task, texts: Sequence[str], labels: Any, text: TextConfig) -> "Tfidf":
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        vectorizer = TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, min_df=2, token_pattern=r"(?u)\b\w+\b|[^\w\s]"
        )
        features = vectorizer.fit_transform([normalize(t, text) for t in texts])
        return cls(task, text, vectorizer, LogisticRegression(C=4, max_iter=1000).fit(features, labels))

    def with_text(self, text: TextConfig) -> "Tfidf":
        return dataclasses.replace(self, text=text)

    def probabilities(self, texts: Sequence[str]) -> Any:
        return self.model.predict_proba(self.vectorizer.transform([normalize(t, self.text) for t in texts]))

    def predict(self, texts: Sequence[str]) -> list[TfidfPrediction]:
        if not texts:
            return []
        rows = self.probabilities(texts)
        return [TfidfPrediction(self.task.labels[int(row.argmax())], tuple(map(float, row))) for row in rows]


def main() -> None:
    """Command line; prints Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", nargs="*", type=Path, help="folders of published versions")
    parser.add_argument("--data", default="data", help="folder of the dataset; default: %(default)s")
    parser.add_argument("--split", default="validation", help="split to attack; default: %(default)s")
    parser.add_argument(
        "--tfidf", nargs="*", default=[], choices=list(TASKS), help="tasks to train TF-IDF on"
    )
    options = parser.parse_args()
    for name in options.tfidf:
        task = TASKS[name]
        dataset = load(task, options.data)
        print(f"## TF-IDF, {name}\n")
        print_training_cost(task, dataset)
        model = Tfidf.fit(task, dataset["train"]["text"], labels_of(dataset["train"], task), TextConfig())
        print_sections(model, dataset, options.split)
    for folder in options.versions:
        predictor = Predictor.load(folder)
        print(f"## {folder.name}, {predictor.task.name}\n")
        print_sections(predictor, load(predictor.task, options.data), options.split)


def print_training_cost(task: Task, dataset: DatasetDict) -> None:
    """Print the headline metric with each option on in training and evaluation."""
    print("| trained with | validation | test |\n|---|---|---|")
    texts, labels = dataset["train"]["text"], labels_of(dataset["train"], task)
    for option in (None, *OPTIONS):
        model = Tfidf.fit(task, texts, labels, TextConfig(**({option: True} if option else {})))
        values = (
            quick_score(labels_of(dataset[split], task), model.probabilities(dataset[split]["text"]), task)
            for split in ("validation", "test")
        )
        print(f"| {option or 'no defense'} | {' | '.join(f'{value[task.metric]:.4f}' for value in values)} |")
    print()


def print_sections(model: Any, dataset: DatasetDict, split: str) -> None:
    """Print the evasion results on a split and the behavioral suite."""
    texts, labels = list(dataset[split]["text"]), labels_of(dataset[split], model.task)
    print_section(evasion(model, texts, np.asarray(labels), most=300))
    tweets = texts[:200] if model.task.name == "deepfake" else []
    print_section(behavior(model, tweets))


def print_section(section: Section) -> None:
    print("\n\n".join([f"### {section.title}", *section.text]), "\n")
    for table in section.tables:
        lines = [table.columns, ["---"] * len(table.columns), *table.rows]
        print("\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines), f"\n\n{table.caption}\n")


def cell(value: Cell) -> str:
    if isinstance(value, Interval):
        return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
