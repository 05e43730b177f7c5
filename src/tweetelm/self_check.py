"""Checks at load whether a faster precision gives the predictions of the evaluated model.

The reference is the version's own validation predictions, if its data is at hand; versions hold no texts.
Otherwise both precisions classify the validation tweets of the sample in this package.
"""

import csv
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tweetelm.data import load, provenance
from tweetelm.data.load import SAMPLE
from tweetelm.tasks import HATE, Task

ROWS = 256
MEAN_DIFFERENCE = 0.02  # most, of the probabilities of all labels
OTHER_VERDICTS = 0.03  # most, as a share of the rows
PREDICTIONS = Path("evaluation", "predictions-validation.csv")
_logger = logging.getLogger(__name__)
Answer = tuple[str, Sequence[float]]  # label, probabilities of all labels
Classify = Callable[[Sequence[str]], Sequence[Answer]]


@dataclass(frozen=True)
class Reference:
    """Texts and their answers in the reference precision."""

    texts: list[str]
    answers: list[Answer]
    source: str


def reference(
    folder: Path, task: Task, card: dict[str, Any] | None, exact: Callable[[], Classify]
) -> Reference:
    """Up to ROWS texts with answers.

    Args:
        folder: of the version or checkpoint.
        task: its task.
        card: of the version; None for a checkpoint.
        exact: loads the model in the reference precision; called only if the data is not at hand.
    """
    if card and (folder / PREDICTIONS).is_file():
        try:
            return _recorded(folder / PREDICTIONS, task, card["data"])
        except (OSError, ValueError) as error:
            _logger.info("%s: no validation tweets for the self-check (%s); using the sample", folder, error)
    texts = typical_tweets(ROWS)
    return Reference(texts, list(exact()(texts)), "sample tweets")


def typical_tweets(count: int = 128) -> list[str]:
    """Tweets of the sample in this package."""
    return list(load(HATE, SAMPLE)["validation"]["text"])[:count]


def disagreement(classify: Classify, expected: Reference) -> str:
    """Why the answers of `classify` do not agree with the expected ones; "" if they do."""
    found = classify(expected.texts)
    pairs = list(zip(found, expected.answers, strict=True))
    differences = [abs(a - b) for one, other in pairs for a, b in zip(one[1], other[1], strict=True)]
    mean = sum(differences) / len(differences)
    others = sum(one[0] != other[0] for one, other in pairs) / len(pairs)
    measured = f"{mean:.4f} mean difference in probability, {others:.1%} other verdicts"
    _logger.info("self-check on %d %s: %s", len(pairs), expected.source, measured)
    if mean <= MEAN_DIFFERENCE and others <= OTHER_VERDICTS:  # false for NaN too
        return ""
    return (
        f"{measured} on {len(pairs)} {expected.source}; expected at most {MEAN_DIFFERENCE} and "
        f"{OTHER_VERDICTS:.0%}"
    )


def _recorded(file: Path, task: Task, data: dict[str, Any]) -> Reference:
    """The version's validation predictions, evenly spread.

    Raises:
        FileNotFoundError: the data is not at hand.
        ValueError: it is other data than the version was evaluated on.
    """
    if provenance(task, data["root"]).md5 != data["md5"]:
        raise ValueError(f"{data['root']} is not the data of the version")
    texts = load(task, data["root"])["validation"]["text"]
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    rows = rows[:: max(1, len(rows) // ROWS)][:ROWS]
    answers: list[Answer] = [(row[-1], [float(value) for value in row[1:-1]]) for row in rows]
    return Reference([texts[int(row[0])] for row in rows], answers, "validation predictions")
