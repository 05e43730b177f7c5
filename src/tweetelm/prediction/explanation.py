"""Explains a prediction by leave-one-out: what each word contributes to the log-odds of each label.

The contribution of a word to a label is the label's log-odds for the whole text, minus its log-odds for the
text without the word. The log-odds of a label are those against all other labels, log(p / (1 - p)), of the
calibrated probability p. With two labels, the contributions to one are those to the other with the opposite
sign.
"""

import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tweetelm.prediction.predictions import Prediction

WORDS = 64
"""Maximum words that are left out by default: each needs a forward pass."""
LEAST = 1e-6
"""Probabilities are clipped to [LEAST, 1 - LEAST], so that log-odds are finite."""
STRONGEST = 5  # words in a one-line repr
_WORD = re.compile(r"\S+")

Spans = Sequence[tuple[int, int]]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each word: characters without white space."""
    return [match.span() for match in _WORD.finditer(text)]


def without_word(text: str, spans: Spans, index: int) -> str:
    """The text without one word and the white space after it, or before it for the last word. Double spaces
    would themselves change the prediction of a model of raw text."""
    start, end = spans[index]
    if len(spans) == 1:
        return ""
    if index + 1 < len(spans):
        return text[:start] + text[spans[index + 1][0] :]
    return text[: spans[index - 1][1]] + text[end:]


def log_odds(probability: float) -> float:
    """log(p / (1 - p)) of a clipped probability."""
    p = min(max(probability, LEAST), 1 - LEAST)
    return math.log(p / (1 - p))


@dataclass(frozen=True)
class Word:
    """A word and its contributions, one per label in the task's order. `start` and `end` are its place in the
    text, in Unicode code points."""

    text: str
    start: int
    end: int
    contributions: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Contributions of the words of a text. In a notebook, it is shown as the text with colored words.

    Attributes:
        text: the text.
        prediction: the prediction for the whole text.
        labels: the task's labels.
        label: the label that is shown: the predicted one, or the one asked for.
        words: the measured words, in the order of the text.
        words_total: number of words; larger than `len(words)` for a long text.
    """

    text: str
    prediction: Prediction
    labels: tuple[str, ...]
    label: str
    words: tuple[Word, ...]
    words_total: int

    def contributions(self, label: str | None = None) -> list[tuple[str, float]]:
        """Each word with its contribution to the log-odds of a label; by default, of `self.label`.

        Raises:
            ValueError: there is no such label.
        """
        index = label_index(self.labels, self.label if label is None else label)
        return [(word.text, word.contributions[index]) for word in self.words]

    def __repr__(self) -> str:
        strongest = sorted(self.contributions(), key=lambda pair: -abs(pair[1]))
        told = ", ".join(f"{word} {value:+.2f}" for word, value in strongest[:STRONGEST])
        more = ", …" if len(strongest) > STRONGEST else ""
        p = self.prediction.probabilities[self.labels.index(self.label)]
        return f"Explanation({self.label!r} {p:.4f}: {told}{more})"

    def _repr_html_(self) -> str:
        index = self.labels.index(self.label)
        largest = max((abs(word.contributions[index]) for word in self.words), default=0.0) or 1.0
        pieces, at = [], 0
        for word in self.words:
            value = word.contributions[index]
            color = "220,80,60" if value > 0 else "60,110,220"
            style = f"background:rgba({color},{abs(value) / largest * 0.6:.2f})"
            pieces.append(html.escape(self.text[at : word.start]))
            pieces.append(f'<span style="{style}" title="{value:+.3f}">{html.escape(word.text)}</span>')
            at = word.end
        pieces.append(html.escape(self.text[at:]))
        p = self.prediction.probabilities[index]
        head = f"<b>{html.escape(self.label)}</b> {p:.4f} (red: raises its log-odds, blue: lowers them)"
        return f'<div>{head}<br><span style="white-space:pre-wrap">{"".join(pieces)}</span></div>'


def label_index(labels: Sequence[str], label: str) -> int:
    """The position of a label.

    Raises:
        ValueError: there is no such label.
    """
    if label not in labels:
        raise ValueError(f"there is no label {label!r}; expected one of {', '.join(labels)}")
    return labels.index(label)


def explanation(
    text: str,
    whole: Prediction,
    without: Sequence[Prediction],
    labels: tuple[str, ...],
    label: str | None = None,
) -> Explanation:
    """Compare the prediction of a text with the predictions without each of its first words.

    Args:
        text: the text.
        whole: its prediction.
        without: predictions without the first word, the second, and so on.
        labels: the task's labels.
        label: the label to show; by default, the predicted one.
    """
    spans = word_spans(text)
    full = [log_odds(p) for p in whole.probabilities]
    words = tuple(
        Word(text[a:b], a, b, tuple(f - log_odds(p) for f, p in zip(full, each.probabilities, strict=True)))
        for (a, b), each in zip(spans, without, strict=False)
    )
    chosen = labels[label_index(labels, label if label is not None else whole.label)]
    return Explanation(
        text=text, prediction=whole, labels=labels, label=chosen, words=words, words_total=len(spans)
    )
