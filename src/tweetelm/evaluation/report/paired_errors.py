"""The tweets on which two classifiers err: both, or only one of them. Row numbers, no texts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from tweetelm.evaluation.evaluate import SplitResult
from tweetelm.files import atomic

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class PairedErrors:
    """Row numbers by who errs.

    Attributes:
        both: both err.
        first: only the first classifier errs.
        second: only the second one errs.
        right: number of rows on which both are right.
    """

    both: Rows
    first: Rows
    second: Rows
    right: int

    @property
    def p(self) -> float:
        """The two-sided p-value of McNemar's exact test: that each errs alone equally often."""
        alone = len(self.first) + len(self.second)
        return float(binomtest(len(self.first), alone).pvalue) if alone else 1.0


def paired_errors(split: SplitResult, other: Rows) -> PairedErrors:
    """The errors of a split's predictions and of another classifier's predicted label ids (N,)."""
    first, second = split.predicted != split.labels, other != split.labels
    return PairedErrors(
        both=split.rows[first & second],
        first=split.rows[first & ~second],
        second=split.rows[~first & second],
        right=int((~first & ~second).sum()),
    )


def errors_file(split: str) -> str:
    """The file name of `write_errors` for a split."""
    return f"errors-{split}.csv"


def write_errors(found: PairedErrors, path: Path) -> None:
    """Write a CSV file: the row number, and who errs on it (`both`, `this model` or `other`)."""
    parts = {"both": found.both, "this model": found.first, "other": found.second}
    lines = sorted((int(row), who) for who, rows in parts.items() for row in rows)
    atomic.write_text(path, "".join(f"{row},{who}\n" for row, who in [("row", "errs"), *lines]))
