"""Success rates of text attacks against a model, without and with `text.defend`."""

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from tweetelm.config.text_config import TextConfig
from tweetelm.evaluation.evaluate import Classifier
from tweetelm.evaluation.intervals import wilson
from tweetelm.evaluation.metrics import quick_score
from tweetelm.evaluation.report.document import Cell, Interval, Section, Table
from tweetelm.evaluation.robustness.attacks import DISGUISES, disguise

LARGEST_SHARE = 1 / 3  # target: success with defenses relative to success without
LARGEST_LOSS = 0.5  # target: loss on clean tweets, in points of the metric
MOST = 500  # attacked tweets


class SupportsTextConfig(Classifier, Protocol):
    """A classifier with changeable text settings; `tweetelm.predictor.Predictor` implements this."""

    @property
    def text(self) -> TextConfig: ...
    def with_text(self, text: TextConfig) -> Self: ...


@dataclass(frozen=True, kw_only=True)
class Attack:
    """The result of an attack.

    Attributes:
        name: the attack.
        escaped: attacked tweets that are no longer predicted positive.
        cases: attacked tweets: positive ones that were predicted positive before the attack.
    """

    name: str
    escaped: int
    cases: int

    @property
    def success(self) -> Interval | None:
        """The share of `cases` that escaped; None if there are no cases."""
        return wilson(self.escaped, self.cases)


@dataclass(frozen=True, kw_only=True)
class Resistance:
    """The headline metric of a model on clean tweets, and the results of all attacks."""

    metric: float
    attacks: tuple[Attack, ...]


def attack(
    classifier: Classifier,
    texts: Sequence[str],
    labels: npt.NDArray[np.int64],
    *,
    seed: int = 0,
    most: int = MOST,
) -> Resistance:
    """Apply every attack to correctly predicted positive tweets, and classify them again.

    Args:
        classifier: a model.
        texts: N clean tweets.
        labels: (N,) true label ids.
        seed: seed of the attacks and of the selection of tweets.
        most: maximum number of attacked tweets.
    """
    task = classifier.task
    predictions = classifier.predict(texts)
    predicted = np.asarray([task.labels.index(p.label) for p in predictions])
    one_hot = np.eye(len(task.labels))[predicted]  # scores predicted labels, not probabilities
    positive = len(task.labels) - 1
    rows = np.flatnonzero((labels == positive) & (predicted == positive)).tolist()
    rows = sorted(random.Random(seed).sample(rows, min(most, len(rows))))
    attacks = []
    for name in DISGUISES:
        disguised = [disguise(name, texts[row], row, seed) for row in rows]
        escaped = sum(p.label != task.positive for p in classifier.predict(disguised))
        attacks.append(Attack(name=name, escaped=escaped, cases=len(rows)))
    return Resistance(metric=quick_score(labels, one_hot, task)[task.metric], attacks=tuple(attacks))


def views(classifier: SupportsTextConfig) -> tuple[SupportsTextConfig, SupportsTextConfig]:
    """The same model without defenses, and with all defenses."""
    off = classifier.text.undefended()
    return classifier.with_text(off), classifier.with_text(dataclasses.replace(off, defend=True))


def evasion(
    classifier: SupportsTextConfig,
    texts: Sequence[str],
    labels: npt.NDArray[np.int64],
    *,
    seed: int = 0,
    most: int = MOST,
) -> Section:
    """A section of the report: success of every attack without and with defenses, and the defenses' cost.

    Predicts all texts twice, and at most `most` texts twice for each of seven attacks.
    """
    bare, defended = (attack(view, texts, labels, seed=seed, most=most) for view in views(classifier))
    task = classifier.task
    loss = 100 * (bare.metric - defended.metric)
    trained = "with" if classifier.text.defend else "without"
    return Section(
        title="Evasion",
        text=(
            f"Success of an attack: share of correctly predicted {task.positive} tweets that are predicted "
            f"{task.labels[0]} after every word is disguised. The model was trained {trained} `text.defend`; "
            "here it is tested without and with it. The attacks use only look-alikes and signs that the "
            "defenses support. There is no defense against rewordings, misspellings and spaced-out letters.",
            f"On clean tweets, the defenses cost {loss:+.2f} points of {task.metric} "
            f"(target: at most {LARGEST_LOSS}; met: {_verdict(loss <= LARGEST_LOSS)}).",
        ),
        tables=(_attacks(bare, defended), _price(task.metric, bare, defended)),
    )


def _attacks(bare: Resistance, defended: Resistance) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for without, within in zip(bare.attacks, defended.attacks, strict=True):
        rows.append((without.name, without.success, within.success, _share(without, within)))
    return Table(
        columns=("attack", "success without", "success with", f"at most {LARGEST_SHARE:.0%} of it"),
        rows=tuple(rows),
        caption=f"Attacked tweets: {bare.attacks[0].cases:,} without defenses, "
        f"{defended.attacks[0].cases:,} with defenses.",
    )


def _share(without: Attack, within: Attack) -> str:
    if without.success is None or within.success is None:
        return "no tweet to attack"
    return _verdict(within.success.value <= LARGEST_SHARE * without.success.value)


def _price(metric: str, bare: Resistance, defended: Resistance) -> Table:
    return Table(
        columns=("clean tweets", metric),
        rows=(("without defenses", bare.metric), ("with defenses", defended.metric)),
    )


def _verdict(met: bool) -> str:
    return "yes" if met else "no"
