"""The prediction for one tweet, and the predictions for several."""

from collections import Counter
from dataclasses import dataclass

SHOWN = 4  # labels in a one-line repr


@dataclass(frozen=True)
class Prediction:
    """The prediction for one tweet.

    Attributes:
        label: the most probable label. With a threshold in the version, the positive label if its
            probability reaches the threshold, else the negative label.
        probabilities: one per label, in the task's order, calibrated by the version's temperature.
        tokens: number of tokens read, including BOS.
        truncated: whether the tweet exceeded the model's length limit.
    """

    label: str
    probabilities: tuple[float, ...]
    tokens: int
    truncated: bool

    def __repr__(self) -> str:
        numbers = ", ".join(f"{p:.4f}" for p in self.probabilities[:SHOWN])
        more = ", …" if len(self.probabilities) > SHOWN else ""
        end = ", truncated" if self.truncated else ""
        return f"Prediction({self.label!r}, probabilities=({numbers}{more}), tokens={self.tokens}{end})"


class Predictions(list[Prediction]):
    """A list of predictions with a one-line repr."""

    @property
    def labels(self) -> list[str]:
        """The predicted labels."""
        return [prediction.label for prediction in self]

    def __repr__(self) -> str:
        counts = Counter(self.labels).most_common()
        told = ", ".join(f"{label} {count:,}" for label, count in counts[:SHOWN])
        more = ", …" if len(counts) > SHOWN else ""
        return f"Predictions({len(self):,} texts{': ' * bool(self)}{told}{more})"
