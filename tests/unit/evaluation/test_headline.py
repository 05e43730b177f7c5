"""Headline metrics of tasks with two labels and with more, against scikit-learn."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, recall_score, roc_auc_score

from tweetelm.evaluation.bootstrap import headline_statistic, macro_auroc, row_intervals
from tweetelm.evaluation.calibration import calibration_intervals
from tweetelm.evaluation.metrics import quick_score, score
from tweetelm.tasks import HATE, Task

LABELS = ("none", "against", "favor", "unsure")
RNG = np.random.default_rng(7)
TRUTH = RNG.integers(0, 3, 300)  # `unsure` never occurs
PROBABILITIES = RNG.dirichlet(np.ones(4), 300) * 0.6 + np.eye(4)[TRUTH] * 0.4
PREDICTED = PROBABILITIES.argmax(1)


def stance(metric: str) -> Task:
    return dataclasses.replace(HATE, name="stance", labels=LABELS, metric=metric)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", (TRUTH == PREDICTED).mean()),
        ("macro_f1", f1_score(TRUTH, PREDICTED, average="macro")),
        ("macro_recall", recall_score(TRUTH, PREDICTED, average="macro", labels=[0, 1, 2])),
        ("f1:favor", f1_score(TRUTH, PREDICTED, average=None, labels=[2])[0]),
        ("mean_f1:against,favor", f1_score(TRUTH, PREDICTED, average="macro", labels=[1, 2])),
    ],
)
def test_headline_metric_is_that_of_scikit_learn(metric: str, expected: float) -> None:
    task = stance(metric)
    assert quick_score(TRUTH, PROBABILITIES, task)[metric] == pytest.approx(expected)
    assert score(TRUTH, PROBABILITIES, task)[metric] == pytest.approx(expected)
    tables = np.stack([np.eye(4, dtype=int), np.ones((4, 4), dtype=int)])
    assert headline_statistic(task)(tables)[0] == 1


def test_auroc_of_many_labels_is_the_mean_over_labels() -> None:
    expected = np.mean([roc_auc_score(k == TRUTH, PROBABILITIES[:, k]) for k in range(3)])
    assert score(TRUTH, PROBABILITIES, stance("accuracy"))["auroc"] == pytest.approx(expected)
    (found,) = row_intervals(len(TRUTH), macro_auroc(TRUTH, PROBABILITIES), resamples=200)
    assert found.value == pytest.approx(expected)
    assert found.low < expected < found.high


def test_calibration_of_many_labels_is_that_of_the_top_label() -> None:
    loss, brier, error = calibration_intervals(TRUTH, PROBABILITIES)
    assert loss.value == pytest.approx(log_loss(TRUTH, PROBABILITIES, labels=range(4)), abs=1e-5)
    assert brier.value == pytest.approx(((PROBABILITIES - np.eye(4)[TRUTH]) ** 2).sum(1).mean(), abs=1e-5)
    confidence, right = PROBABILITIES.max(1), PREDICTED == TRUTH
    bins = [(confidence >= low / 10) & (confidence < low / 10 + 0.1) for low in range(10)]
    gaps = [abs((confidence - right)[inside].sum()) for inside in bins]
    assert error.value == pytest.approx(sum(gaps) / len(TRUTH), abs=1e-5)
