from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss

from tests.support.checkpoints import TWEETS, as_version, checkpoint
from tests.support.fakes import dataset
from tweetelm.evaluation.calibration import (
    best_threshold,
    calibration_intervals,
    fit_temperature,
    reliability,
    rescale,
)
from tweetelm.evaluation.evaluate import calibrated, evaluate
from tweetelm.predictor import Predictor
from tweetelm.tasks import HATE

GENERATOR = np.random.default_rng(11)
TRUE = GENERATOR.normal(0, 1.5, 4000)  # log-odds from which labels are drawn
LABELS = (GENERATOR.random(4000) < 1 / (1 + np.exp(-TRUE))).astype(np.int64)
LOGITS = np.stack([np.zeros(4000), TRUE], axis=1)


def test_the_temperature_that_was_put_in_is_found() -> None:
    for temperature in (0.4, 1.0, 3.0):
        assert fit_temperature(LABELS, softmax(LOGITS * temperature, axis=1)) == pytest.approx(
            temperature, rel=0.1
        )


def test_the_temperature_is_that_of_least_loss() -> None:
    overconfident = softmax(2.5 * LOGITS, axis=1)
    theirs = minimize_scalar(
        lambda t: log_loss(LABELS, softmax(2.5 * LOGITS / t, axis=1)[:, 1]),
        bounds=(0.5, 10),
        method="bounded",
    )
    assert fit_temperature(LABELS, overconfident) == pytest.approx(theirs.x, rel=1e-4)


def test_labels_that_leave_the_temperature_open_leave_it_at_one() -> None:
    sure = softmax(np.stack([-TRUE, TRUE], axis=1), axis=1)
    assert fit_temperature(sure.argmax(axis=1), sure) == 1.0
    assert fit_temperature(np.zeros(4000, dtype=np.int64), sure) == 1.0


def test_rescaled_probabilities_are_those_of_the_divided_logits() -> None:
    assert rescale(softmax(LOGITS, axis=1), 3.0) == pytest.approx(softmax(LOGITS / 3, axis=1))


scores = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.2, 0.45, 0.5, 0.8])), min_size=2, max_size=30
)


@settings(max_examples=40)
@given(scores)
def test_the_threshold_is_the_best_of_all(rows: list[tuple[int, float]]) -> None:
    labels, positive = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])

    def macro(threshold: float) -> float:
        told = positive >= threshold
        hits = [((labels == i) & (told == i)).sum() for i in (0, 1)]
        seen = [(labels == i).sum() + (told == i).sum() for i in (0, 1)]
        return float(np.mean([2 * hit / max(many, 1) for hit, many in zip(hits, seen, strict=True)]))

    found = best_threshold(labels, positive)
    values = sorted(set(positive))
    middles = [(low + high) / 2 for low, high in pairwise(values)]
    assert macro(found) == pytest.approx(max(map(macro, middles or [0.5])))


def test_reliability_bins_have_mean_and_observed_rate() -> None:
    positive = np.array([False, True, False, True])
    points = reliability(positive, np.array([0.25, 0.75, 0.0, 1.0]), bins=2)
    assert points == [(0.125, 0.0, 2), (0.875, 1.0, 2)]


def test_calibration_scores_are_those_of_the_definitions() -> None:
    probabilities = softmax(2.0 * LOGITS, axis=1)
    loss, brier, error = calibration_intervals(LABELS, probabilities)
    assert loss.value == pytest.approx(log_loss(LABELS, probabilities[:, 1]), rel=1e-5)
    assert brier.value == pytest.approx(brier_score_loss(LABELS, probabilities[:, 1]), rel=1e-5)
    points = reliability(LABELS == 1, probabilities[:, 1])
    by_hand = sum(abs(mean - seen) * count for mean, seen, count in points) / 4000
    assert error.value == pytest.approx(by_hand, rel=1e-4)
    assert loss.low < loss.value < loss.high


def test_calibrated_model_reproduces_the_evaluation(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "version")
    rows = [(text, i % 2) for i, text in enumerate(TWEETS)]
    tweets = dataset(HATE, validation=rows, test=rows[:5])
    raw = evaluate(Predictor.load(folder, precision="float32"), tweets)
    found = calibrated(raw, tweets, "validation")
    assert found.temperature > 1.1  # the labels are independent of the tweets
    assert found.threshold is not None
    as_version(folder, temperature=found.temperature, threshold=found.threshold)
    served = evaluate(Predictor.load(folder, precision="float32"), tweets)
    assert (served.temperature, served.threshold) == (found.temperature, found.threshold)
    for split in ("validation", "test"):
        ours, theirs = found.splits[split], served.splits[split]
        assert theirs.probabilities == pytest.approx(ours.probabilities, abs=1e-5)
        assert theirs.predicted.tolist() == ours.predicted.tolist()
        assert theirs.metrics["macro_f1"] == ours.metrics["macro_f1"]


def test_a_temperature_alone_changes_no_label(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "version")
    tweets = dataset(HATE, validation=[(text, i % 2) for i, text in enumerate(TWEETS)])
    raw = evaluate(Predictor.load(folder, precision="float32"), tweets, ["validation"])
    found = calibrated(raw, tweets)
    assert found.threshold is None
    assert found.splits["validation"].predicted.tolist() == raw.splits["validation"].predicted.tolist()
