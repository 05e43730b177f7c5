"""How often a disguise makes a model miss what it would have caught, without and with `text.defend`."""

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

LARGEST_SHARE = 1 / 3
LARGEST_LOSS = 0.5  # points
MOST = 500
Bools = npt.NDArray[np.bool_]


class SupportsTextConfig(Classifier, Protocol):
    """A classifier that can read texts in another way; `tweetelm.predictor.Predictor` can."""

    @property
    def text(self) -> TextConfig: ...
    def with_text(self, text: TextConfig) -> Self: ...


@dataclass(frozen=True, kw_only=True)
class Attack:
    """How many of the tweets that were caught clean (`cases`) escape in disguise (`escaped`)."""

    name: str
    escaped: int
    cases: int

    @property
    def success(self) -> Interval | None:
        """Share that escapes; None where nothing was caught."""
        return wilson(self.escaped, self.cases)


@dataclass(frozen=True, kw_only=True)
class Resistance:
    """A model under attack: its headline metric on clean tweets, and every attack's result."""

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
    """Disguise the tweets of the positive class in every way and classify them again.

    Args:
        classifier: a model.
        texts: N clean tweets.
        labels: (N,) true label ids.
        seed: of the disguises, together with a tweet's row, and of the choice of tweets.
        most: as many of the caught tweets are attacked at most.
    """
    task = classifier.task
    predictions = classifier.predict(texts)
    predicted = np.asarray([task.labels.index(p.label) for p in predictions])
    told = np.eye(len(task.labels))[predicted]  # the metric of what a user is told
    positive = len(task.labels) - 1
    caught = np.flatnonzero((labels == positive) & (predicted == positive)).tolist()
    caught = sorted(random.Random(seed).sample(caught, min(most, len(caught))))
    attacks = []
    for name in DISGUISES:
        disguised = [disguise(name, texts[row], row, seed) for row in caught]
        escaped = sum(p.label != task.positive for p in classifier.predict(disguised))
        attacks.append(Attack(name=name, escaped=escaped, cases=len(caught)))
    return Resistance(metric=quick_score(labels, told, task)[task.metric], attacks=tuple(attacks))


def views(classifier: SupportsTextConfig) -> tuple[SupportsTextConfig, SupportsTextConfig]:
    """The same weights reading texts with no defense, and with every defense."""
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
    """A section of the report: the success of every attack without and with the defenses, and their price.

    Takes two passes over the texts and, for each of seven attacks, two over at most `most` of them.
    """
    bare, defended = (attack(view, texts, labels, seed=seed, most=most) for view in views(classifier))
    task = classifier.task
    loss = 100 * (bare.metric - defended.metric)
    trained = "with" if classifier.text.defend else "without"
    return Section(
        title="Evasion",
        text=(
            f"Success of an attack: share of the {task.positive} tweets caught clean that are told "
            f"{task.labels[0]} once every word is disguised. The model was trained {trained} `text.defend`; "
            "here it reads with it off and on. Look-alikes and signs are drawn from those that the defenses "
            "know; rewordings, misspellings and spaced-out letters have no defense.",
            f"On clean tweets the defenses cost {loss:+.2f} points of {task.metric} "
            f"(at most {LARGEST_LOSS} wanted: {_verdict(loss <= LARGEST_LOSS)}).",
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
        caption=f"Attacked: {bare.attacks[0].cases:,} tweets caught clean, with defenses "
        f"{defended.attacks[0].cases:,}.",
    )


def _share(without: Attack, within: Attack) -> str:
    if without.success is None or within.success is None:
        return "nothing caught"
    return _verdict(within.success.value <= LARGEST_SHARE * without.success.value)


def _price(metric: str, bare: Resistance, defended: Resistance) -> Table:
    return Table(
        columns=("clean tweets", metric),
        rows=(("without defenses", bare.metric), ("with defenses", defended.metric)),
    )


def _verdict(met: bool) -> str:
    return "yes" if met else "no"
