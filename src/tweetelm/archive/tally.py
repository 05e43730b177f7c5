"""Counts of classified rows, of a fragment or of an archive."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tweetelm.archive.dedup import Answer


@dataclass(kw_only=True)
class Tally:
    """Counts of rows.

    Attributes:
        rows: rows with a prediction.
        labels: rows by label.
        lengths: rows by number of tokens, including BOS.
        truncated: rows whose text was longer than the model's limit.
        asked: texts that the model read; the other rows had a text that came before.
        refused: rows without a prediction, by reason.
        cpu_s: processor seconds, of all threads.
        wall_s: seconds of workers.
        gpu_s: seconds of workers with a GPU.
        precisions: rows by the precision that the model computed in.
    """

    rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    truncated: int = 0
    asked: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    gpu_s: float = 0.0
    precisions: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, answers: Iterable[Answer], reasons: Iterable[str], asked: int) -> "Tally":
        """The counts of one fragment, without its cost."""
        found = list(answers)
        return cls(
            rows=len(found),
            labels=Counter(answer.label for answer in found),
            lengths=Counter(answer.tokens for answer in found),
            truncated=sum(answer.truncated for answer in found),
            asked=asked,
            refused=Counter(reasons),
        )

    @property
    def refused_rows(self) -> int:
        return self.refused.total()

    @property
    def duplicates(self) -> int:
        """Rows whose text came before and was not classified again."""
        return self.rows - self.asked

    def add(self, other: "Tally") -> None:
        """Add the counts of another fragment."""
        for each in dataclasses.fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def quantile(self, share: float) -> int:
        """The number of tokens that this share of the rows does not exceed."""
        remaining = share * self.rows
        for length, rows in sorted(self.lengths.items()):
            remaining -= rows
            if remaining <= 0:
                return length
        return 0

    def to_json(self) -> dict[str, Any]:
        """As data for JSON."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Tally":
        """From the data of `to_json`, whose keys JSON has made strings."""
        counts = {
            "labels": Counter(values["labels"]),
            "refused": Counter(values["refused"]),
            "precisions": Counter(values.get("precisions", {})),  # absent until November 2026
            "lengths": Counter({int(length): rows for length, rows in values["lengths"].items()}),
        }
        return cls(**{**values, **counts})
