"""Calibration of probabilities: temperature, threshold, reliability and calibration metrics.

Shapes: N tweets, K labels.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from tweetelm.evaluation.bootstrap import row_intervals
from tweetelm.evaluation.report.document import Interval

BINS = 10
COOLEST, HOTTEST = 0.05, 20.0  # lower: validation is separable; higher: the predictions are chance
_TINY = 1e-45

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]


def rescale(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities (N, K) after dividing the logits by `temperature`."""
    logits = _logits(probabilities) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scaled: Floats = powers / powers.sum(axis=1, keepdims=True)
    return scaled


def fit_temperature(labels: Ints, probabilities: Floats) -> float:
    """The temperature (> 0) that minimizes the negative log-likelihood of the labels (N,).

    Returns 1.0 if there is no minimum, because all labels are the same or every prediction is correct. The
    loss is convex in 1/temperature, over which SciPy minimizes it. Source: Guo et al. 2017, On Calibration of
    Modern Neural Networks.
    """
    if len(np.unique(labels)) < 2:
        return 1.0
    logits = _logits(probabilities)
    logits -= logits[np.arange(len(labels)), labels][:, None]  # relative to the true label
    found = minimize_scalar(
        lambda inverse: float(logsumexp(inverse * logits, axis=1).mean()),
        bounds=(1 / HOTTEST, 1 / COOLEST),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return 1.0 if found.x > 0.999 / COOLEST else float(1 / found.x)


def best_threshold(labels: Ints, positive: Floats) -> float:
    """The threshold on P(positive) with the highest macro-F1.

    A midpoint between two adjacent probabilities. Among equally good thresholds, the one nearest to 0.5.
    """
    order = np.argsort(positive, kind="stable")
    scores, truth = positive[order], labels[order] == 1
    cuts = np.flatnonzero(np.diff(scores) > 0) + 1
    if not len(cuts):
        return 0.5
    missed, ahead = truth.cumsum()[cuts - 1], truth.sum()
    right = cuts - missed  # negatives below the cut
    hits, alarms = ahead - missed, (len(truth) - ahead) - right
    f1_positive = 2 * hits / np.maximum(2 * hits + missed + alarms, 1)
    f1_negative = 2 * right / np.maximum(2 * right + missed + alarms, 1)
    middles, macro = (scores[cuts - 1] + scores[cuts]) / 2, (f1_positive + f1_negative) / 2
    best = np.flatnonzero(macro >= macro.max() - 1e-12)
    return float(middles[best[np.abs(middles[best] - 0.5).argmin()]])


def rated(labels: Ints, probabilities: Floats) -> tuple[npt.NDArray[np.bool_], Floats]:
    """What a reliability diagram compares: of two labels, whether a tweet is positive, and P(positive); of
    more, whether the most probable label is right, and its probability."""
    if probabilities.shape[1] == 2:
        return labels == 1, probabilities[:, 1]
    return labels == probabilities.argmax(axis=1), probabilities.max(axis=1)


def reliability(
    positive: npt.NDArray[np.bool_], probability: Floats, bins: int = BINS
) -> list[tuple[float, float, int]]:
    """(mean probability, share of positives, number of tweets) of every equal-width bin with tweets."""
    index = _bin(probability, bins)
    inside = [index == i for i in range(bins)]
    return [
        (float(probability[b].mean()), float(positive[b].mean()), int(b.sum())) for b in inside if b.any()
    ]


def calibration_intervals(labels: Ints, probabilities: Floats) -> list[Interval]:
    """Negative log-likelihood, Brier score and expected calibration error (ECE), with intervals.

    With two labels, Brier score and ECE are those of P(positive). With more, the Brier score is the sum over
    labels, and the ECE is that of the most probable label (Guo et al. 2017).
    """
    rows = np.arange(len(labels))
    right, p = rated(labels, probabilities)
    if probabilities.shape[1] == 2:
        brier = (p - right) ** 2
    else:
        brier = ((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1)
    loss = -np.log(np.maximum(probabilities[rows, labels], _TINY))
    means = np.stack([loss, brier], axis=1).astype(np.float32)
    gaps = np.zeros((len(labels), BINS), dtype=np.float32)
    gaps[rows, _bin(p, BINS)] = p - right

    def statistic(weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
        error = np.abs(weights @ gaps).sum(axis=1, keepdims=True)
        return np.concatenate([weights @ means, error], axis=1).astype(np.float64) / len(labels)

    return row_intervals(len(labels), statistic)


def _bin(probability: Floats, bins: int) -> Ints:
    index: Ints = np.minimum((probability * bins).astype(int), bins - 1)
    return index


def _logits(probabilities: Floats) -> Floats:
    return np.log(np.maximum(probabilities, _TINY))
