"""Chooses machine rows that have a human counterpart with the same surface cues, and measures the match.

Propensity-score matching with a caliper (Rosenbaum and Rubin, 1985): a cross-validated classifier gives each
row the probability of being human by its cues alone; a machine row is kept if an unused human row has nearly
the same one. Kept rows and their counterparts then have the same cues together, not one by one. Where this
is not enough, the pairs that a classifier on the cues still tells apart best are removed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits

from tweetelm.data.mix.cues import NAMES, Floats, cue_counts, differences

Ints = npt.NDArray[np.int64]
FEWEST = 40  # rows of each kind that a cross-validated accuracy needs
_FOLDS = 5
_MOST = 4000  # rows of each kind from which an accuracy is measured
_REPEATS = 3
_CALIPERS = (0.03, 0.01, 0.003)  # of the log-odds; the first that reaches the goal is used
_TRIMMED, _TRIMS = 0.04, 12  # share of the pairs that is removed at a time, and the most times
_CERTAIN = 1e-3  # bound of the probabilities, so that no log-odds are infinite
_DIGITS = 6  # of the probabilities; the last ones depend on the processor


@dataclass(frozen=True, kw_only=True)
class CueMatch:
    """The match of the machine rows of a split with human rows.

    Attributes:
        rows: number of machine rows before and after matching and quotas.
        counterparts: how many of the latter have a human row for comparison that no quota removed.
        matched: whether those human rows were chosen by their cues, not at random.
        human: number of human rows to choose them from, before quotas.
        means: by cue, its mean in machine rows before and after, in the counterparts, in all human rows.
        smd: by cue, the standardized mean difference of machine rows before to all human rows, and of those
            after to their counterparts.
        accuracy: cross-validated accuracy of a classifier on cues alone, where chance is 0.5. `before`: all
            machine rows and as many human rows. `after`: kept rows and their counterparts. `after_all`: kept
            rows and as many of all human rows. None with too few rows.
        goal: the largest distance from chance that was asked for.
    """

    rows: tuple[int, int]
    counterparts: int
    matched: bool
    human: int
    means: dict[str, tuple[float, ...]]
    smd: dict[str, tuple[float, ...]]
    accuracy: dict[str, float | None]
    goal: float

    @property
    def reached(self) -> bool:
        """Whether the accuracy afterwards was measured and is within the goal."""
        after = self.accuracy["after"]
        return after is not None and abs(after - 0.5) <= self.goal


def match_cues(
    machine: Sequence[str], human: Sequence[str], *, goal: float, seed: int
) -> list[tuple[int, int]]:
    """The positions of machine texts and of their human counterparts, in the order of the machine texts.

    One thread computes everything, so that the choice does not depend on the number of processors. With too
    few rows to measure a match, counterparts are not chosen by their cues.
    """
    if not machine or not human:
        return []
    with threadpool_limits(1):
        found, wanted = cue_counts(machine), cue_counts(human)
        if min(len(found), len(wanted)) < FEWEST:
            return list(zip(range(len(found)), range(len(wanted)), strict=False))
        odds = _log_odds(found, wanted, seed)
        pairs: list[tuple[int, int]] = []
        for caliper in _CALIPERS:
            pairs = _nearest(*odds, caliper, seed)
            chosen = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
            accuracy = _accuracy(found[chosen[:, 0]], wanted[chosen[:, 1]], seed + 1)
            if accuracy is None or abs(accuracy - 0.5) <= goal:
                return sorted(pairs)
        return sorted(trimmed(pairs, found, wanted, goal, seed))


def measure(
    machine: Sequence[str],
    human: Sequence[str],
    kept: Sequence[int],
    counterparts: Sequence[int],
    *,
    goal: float,
    seed: int,
    matched: bool = True,
) -> CueMatch:
    """Measure the cues of all machine and human texts, and of those at the given positions."""
    with threadpool_limits(1):
        before, everyone = cue_counts(machine), cue_counts(human)
        after, partners = before[np.asarray(kept, dtype=int)], everyone[np.asarray(counterparts, dtype=int)]
        accuracy = {
            "before": _accuracy(before, everyone, seed + 2),
            "after": _accuracy(after, partners, seed + 2),
            "after_all": _accuracy(after, everyone, seed + 2),
        }
    return CueMatch(
        rows=(len(before), len(after)),
        counterparts=len(partners),
        matched=matched,
        human=len(everyone),
        means=_by_name(*map(_means, (before, after, partners, everyone))),
        smd=_by_name(_smd(before, everyone), _smd(after, partners)),
        accuracy={name: None if value is None else round(value, 4) for name, value in accuracy.items()},
        goal=goal,
    )


def _log_odds(machine: Floats, human: Floats, seed: int) -> tuple[Floats, Floats]:
    """Log-odds of being human of machine rows (M,) and human rows (H,), by models that did not see them.

    The mean over repeated cross-validation: noise in the log-odds would leave a difference of the cues.
    Boosted trees find cues that occur together; logistic regression adds an estimate of less variance.
    """
    features = np.concatenate([machine, human])
    labels = np.repeat([0, 1], [len(machine), len(human)])
    linear = make_pipeline(
        FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression(class_weight="balanced")
    )
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=40, min_samples_leaf=30, class_weight="balanced", random_state=seed
    )
    models = [linear, *[trees] * _REPEATS]
    odds = np.zeros(len(labels))
    for repeat, model in enumerate(models):
        folds = _folds(seed + repeat)
        found = cross_val_predict(model, features, labels, cv=folds, method="predict_proba")[:, 1]
        probability = np.round(np.clip(found, _CERTAIN, 1 - _CERTAIN), _DIGITS)
        odds += np.log(probability / (1 - probability)) / len(models)
    return odds[: len(machine)], odds[len(machine) :]


def _nearest(machine: Floats, human: Floats, caliper: float, seed: int) -> list[tuple[int, int]]:
    """Pairs of rows whose log-odds differ by at most the caliper; each row is in one pair at most."""
    rng = np.random.default_rng([seed, 1])
    rows, partners = (_shuffled_order(odds, rng) for odds in (machine, human))
    pairs = []
    row = partner = 0
    while row < len(rows) and partner < len(partners):
        distance = human[partners[partner]] - machine[rows[row]]
        if abs(distance) <= caliper:
            pairs.append((int(rows[row]), int(partners[partner])))
        row += distance >= -caliper
        partner += distance <= caliper
    return pairs


def trimmed(
    pairs: list[tuple[int, int]], machine: Floats, human: Floats, goal: float, seed: int
) -> list[tuple[int, int]]:
    """The pairs without those whose two rows look most different, until the rest reaches the goal."""
    for trim in range(_TRIMS):
        rows, partners = (np.asarray(positions) for positions in zip(*pairs, strict=True))
        odds = _log_odds(machine[rows], human[partners], seed + trim)
        alike = np.argsort(odds[1] - odds[0], kind="stable")[: round((1 - _TRIMMED) * len(pairs))]
        pairs = [pairs[position] for position in np.sort(alike)]
        chosen = np.asarray(pairs)
        accuracy = _accuracy(machine[chosen[:, 0]], human[chosen[:, 1]], seed + 1)
        if accuracy is None or accuracy - 0.5 <= goal:
            break
    return pairs


def _shuffled_order(odds: Floats, rng: np.random.Generator) -> Ints:
    """Positions by increasing log-odds, in random order among equal ones."""
    shuffled = rng.permutation(len(odds))
    return shuffled[np.argsort(odds[shuffled], kind="stable")]


def _accuracy(machine: Floats, human: Floats, seed: int) -> float | None:
    """Cross-validated accuracy of telling machine rows from as many human rows by their cues."""
    size = min(len(machine), len(human), _MOST)
    if size < FEWEST:
        return None
    features = np.concatenate([_sample(machine, size, seed), _sample(human, size, seed)])
    labels = np.repeat([0, 1], size)
    found = cross_val_predict(_classifier(seed), features, labels, cv=_folds(seed))
    return float((found == labels).mean())


def _classifier(seed: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=60, min_samples_leaf=20, random_state=seed)


def _folds(seed: int) -> StratifiedKFold:
    return StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)


def _sample(rows: Floats, size: int, seed: int) -> Floats:
    return rows[np.random.default_rng([seed, 2]).permutation(len(rows))[:size]]


def _means(rows: Floats) -> Floats:
    return rows.mean(axis=0) if len(rows) else np.zeros(len(NAMES))


def _smd(machine: Floats, human: Floats) -> Floats:
    return differences(machine, human) if len(machine) and len(human) else np.zeros(len(NAMES))


def _by_name(*columns: Floats) -> dict[str, tuple[float, ...]]:
    return {
        name: tuple(round(float(column[position]), 4) for column in columns)
        for position, name in enumerate(NAMES)
    }
