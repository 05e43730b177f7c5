"""The inputs of a report's sections."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import DatasetDict

from tweetelm.evaluation.evaluate import Evaluation, SplitResult
from tweetelm.evaluation.report.document import Interval
from tweetelm.registry.card import Card, Provenance
from tweetelm.tasks import SYNTHETIC_NOTICE, Task
from tweetelm.text.normalize import normalize


@dataclass(frozen=True, kw_only=True)
class Rival:
    """Another classifier's predicted label ids (N,) of the same test rows.

    `name` is that of a version, or of a file.
    """

    name: str
    predicted: npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ReportContext:
    """A model's evaluation, its dataset, and where data and model come from.

    Args:
        evaluation: from `evaluate`.
        dataset: at least the evaluated splits; with the training split, the report also covers overlap and
            shift.
        provenance: of the dataset.
        card: of the model; without one the report does not know whether the weights are pretrained.
        rival: another classifier to compare the model with.
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
        """Warnings to show with every result."""
        known = [SYNTHETIC_NOTICE] * self.provenance.synthetic + (self.card.notices if self.card else [])
        return tuple(dict.fromkeys(known))

    @property
    def final(self) -> str:
        """Name of the split that is reported: test, or the last one."""
        names = list(self.evaluation.splits)
        return "test" if "test" in names else names[-1]

    @property
    def result(self) -> SplitResult:
        """Result of the final split."""
        return self.evaluation.splits[self.final]

    @cached_property
    def plain(self) -> dict[str, list[str]]:
        """Normalized texts by split (links and mentions masked); for counting, never shown."""
        return {name: [normalize(text) for text in split["text"]] for name, split in self.dataset.items()}

    def labels(self, split: str) -> npt.NDArray[np.int64]:
        """True label ids (N,) of a split of the dataset."""
        return np.asarray(self.dataset[split]["label"], dtype=np.int64)


def measured(metrics: dict[str, Any], name: str) -> Interval | None:
    """A metric of `measure` with its interval; None where it is undefined."""
    ends = metrics["intervals"].get(name)
    return None if ends is None else Interval(value=metrics[name], low=ends[0], high=ends[1])
