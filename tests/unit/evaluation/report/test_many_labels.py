"""The report of tasks with more than two labels."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tests.support.fakes import FakePrediction, FakeProvenance
from tests.support.report import rows_of
from tweetelm.evaluation.evaluate import evaluate
from tweetelm.evaluation.report.context import ReportContext
from tweetelm.evaluation.report.document import Document
from tweetelm.evaluation.report.prediction_files import recompute, write_records
from tweetelm.evaluation.report.sections.headline import headline
from tweetelm.evaluation.report.write import report
from tweetelm.tasks import HATE, Task, to_json
from tweetelm.tasks.task_file import from_json


def task_of(count: int, metric: str = "macro_f1") -> Task:
    return dataclasses.replace(
        HATE,
        name="mine",
        labels=tuple(f"kind{number}" for number in range(count)),
        metric=metric,
        slices=("topic",),
        suite=None,
        moderation=(),
        published=(),
    )


@dataclasses.dataclass(frozen=True)
class Counter:
    """P(label i) is 0.7 for the number in the text, and the rest is shared equally."""

    task: Task
    version: str = "v1"
    threshold: float | None = None
    temperature: float = 1.0

    def predict(self, texts: list[str]) -> list[FakePrediction]:
        return [self._one(int(text.split()[-1])) for text in texts]

    def _one(self, found: int) -> FakePrediction:
        rest = 0.3 / (len(self.task.labels) - 1)
        shares = [rest] * len(self.task.labels)
        shares[found] = 0.7
        return FakePrediction(self.task.labels[found], tuple(shares), 1, False)


def rows(task: Task, count: int, seed: int) -> Dataset:
    """A third of the tweets name the number of another label than their own."""
    random = np.random.default_rng(seed)
    labels = random.integers(len(task.labels), size=count)
    named = np.where(random.random(count) < 1 / 3, random.integers(len(task.labels), size=count), labels)
    features = Features(
        {"text": Value("string"), "label": ClassLabel(names=list(task.labels)), "topic": Value("string")}
    )
    values: dict[str, Any] = {
        "text": [f"tweet no. {seed}{i} says {number}" for i, number in enumerate(named)],
        "label": labels.tolist(),
        "topic": [("bus", "park", "rain")[i % 3] for i in range(count)],
    }
    return Dataset.from_dict(values, features=features)


@functools.cache
def context_of(task: Task) -> ReportContext:
    dataset = DatasetDict(
        {name: rows(task, 600, i) for i, name in enumerate(("train", "validation", "test"))}
    )
    evaluation = evaluate(Counter(task), dataset, ("validation", "test"))  # type: ignore[arg-type]
    return ReportContext(evaluation=evaluation, dataset=dataset, provenance=FakeProvenance())


@functools.cache
def document_of(task: Task) -> Document:
    return report(context_of(task))


@pytest.mark.parametrize("count", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_report_has_a_row_per_label_and_no_threshold(count: int) -> None:
    context = context_of(task_of(count))
    document = document_of(context.task)
    titles = [section.title for section in document.sections]
    assert "Calibration" in titles
    assert not {"Behavior", "Evasion", "Calibration and threshold"} & set(titles)
    sections = {section.title: section for section in document.sections}
    by_label = sections["Validation and test side by side"].tables[1]
    assert [row[0] for row in by_label.rows] == list(context.task.labels)
    names = [figure.name for section in document.sections for figure in section.figures]
    assert {"headline", "confusion-test", "labels", "reliability", "slices"} <= set(names)
    assert not {"roc", "precision-recall"} & set(names)


def test_scores_of_labels_match_scikit_learn() -> None:
    from sklearn.metrics import precision_recall_fscore_support

    context = context_of(task_of(3))
    split = context.result
    table = rows_of(document_of(context.task).sections[1].tables[1])
    expected = precision_recall_fscore_support(split.labels, split.predicted, zero_division=0)
    for number, label in enumerate(context.task.labels):
        _, _, precision, recall, f1 = table[label]
        assert (precision, recall, f1) == pytest.approx([column[number] for column in expected[:3]])


def test_slices_show_macro_f1_of_their_rows() -> None:
    from sklearn.metrics import f1_score

    context = context_of(task_of(3))
    section = next(s for s in document_of(context.task).sections if s.title == "Errors by slice")
    found = rows_of(section.tables[0])
    mask = np.asarray(context.dataset["test"]["topic"]) == "bus"
    expected = f1_score(context.result.labels[mask], context.result.predicted[mask], average="macro")
    assert found["topic = bus"][-1] == pytest.approx(expected)


def test_headline_metric_of_the_task_is_shown_first() -> None:
    context = context_of(task_of(3, "mean_f1:kind0,kind2"))
    section = headline(context)
    value = context.result.metrics["mean_f1:kind0,kind2"]
    assert f"mean F1 of kind0, kind2 on test: {value:.3f}" in section.text[0]
    assert section.tables[0].rows[0][0] == "→ this model"


def test_written_predictions_score_the_same(tmp_path: Path) -> None:
    context = context_of(task_of(5, "macro_recall"))
    write_records(context.evaluation, tmp_path, "md5", [])
    assert recompute(tmp_path, context.dataset) == context.evaluation.metrics


def test_label_called_row_is_read_back(tmp_path: Path) -> None:
    task = dataclasses.replace(task_of(3), labels=("row", "predicted", 'a, "b"'))
    context = context_of(task)
    write_records(context.evaluation, tmp_path, "md5", [])
    assert recompute(tmp_path, context.dataset) == context.evaluation.metrics
    assert from_json(to_json(task)) == task
