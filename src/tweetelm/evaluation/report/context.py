"""All that the sections of a report are made from."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import DatasetDict

from tweetelm.evaluation.evaluate import Evaluation, SplitResult
from tweetelm.evaluation.report.document import Interval
from tweetelm.evaluation.report.predictions import Predictions
from tweetelm.registry.card import Card, Provenance
from tweetelm.registry.model_card_metadata import NAMES
from tweetelm.tasks import SYNTHETIC_NOTICE, Task
from tweetelm.text.normalize import normalize

__all__ = ["NAMES", "Evidence", "Rival", "measured"]


@dataclass(frozen=True, kw_only=True)
class Rival:
    """Another version's predictions of the same test rows."""

    version: str
    predictions: Predictions


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A model's evaluation, the rows it was made on, where they and the model come from.

    Args:
        evaluation: from `evaluate`.
        dataset: at least its splits; with the training split, the report also looks at overlap and shift.
        provenance: of the dataset.
        card: the model's; without one the report cannot say whether its weights started at random.
        rival: what to compare it with.
    """

    evaluation: Evaluation
    dataset: DatasetDict
    provenance: Provenance
    card: Card | None = None
    rival: Rival | None = None

    @property
    def task(self) -> Task:
        return self.evaluation.task

    @property
    def notices(self) -> tuple[str, ...]:
        """What must stand wherever a result is shown."""
        known = [SYNTHETIC_NOTICE] * self.provenance.synthetic + (self.card.notices if self.card else [])
        return tuple(dict.fromkeys(known))

    @property
    def final(self) -> str:
        """The split that counts: test, or the last there is."""
        names = list(self.evaluation.splits)
        return "test" if "test" in names else names[-1]

    @property
    def result(self) -> SplitResult:
        """That split's result."""
        return self.evaluation.splits[self.final]

    @cached_property
    def plain(self) -> dict[str, list[str]]:
        """Texts by split with links and mentions masked; for counting, never for showing."""
        return {name: [normalize(text) for text in split["text"]] for name, split in self.dataset.items()}

    def labels(self, split: str) -> npt.NDArray[np.int64]:
        """True label ids (N,) of any split of the dataset."""
        return np.asarray(self.dataset[split]["label"], dtype=np.int64)


def measured(metrics: dict[str, Any], name: str) -> Interval | None:
    """A metric of `measure` with its interval; None where it is undefined."""
    ends = metrics["intervals"].get(name)
    return None if ends is None else Interval(value=metrics[name], low=ends[0], high=ends[1])
