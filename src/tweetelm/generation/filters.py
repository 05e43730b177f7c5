"""Decides which answers become rows, in the order of the requests."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources

import numpy as np
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from tweetelm.data.duplicates import words
from tweetelm.data.near_copies import NearCopies
from tweetelm.generation.cleaning import clean
from tweetelm.generation.request import Answer, Request

_LENGTHS = (1, 99)  # percentiles of the human tweets' lengths between which a tweet must lie
_LONGEST = 280  # characters, Twitter's limit
_SURE = 0.8  # probability of a language from which a tweet counts as not English

REASONS = (
    "malformed answer",
    "empty",
    "refusal",
    "echo of the prompt",
    "cut off",
    "too short",
    "too long",
    "other language",
    "copy of a human tweet",
    "copy of a generated tweet",
)
"""Why answers are rejected, in the order of the checks. An answer is counted under the first that applies."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """An accepted tweet and its request."""

    text: str
    request: Request


@dataclass(kw_only=True)
class Outcome:
    """The rows, and what happened to the other answers.

    Attributes:
        rows: accepted, in the order of the requests.
        rejected: number of rejected answers by reason.
        by_strategy: the same for each strategy; accepted ones are counted as `kept`.
        toxic: number of rows with a word of better-profanity's list; they are kept.
        answers: number of answers that were looked at.
    """

    rows: list[Row] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    by_strategy: dict[str, Counter[str]] = field(default_factory=dict)
    toxic: int = 0
    answers: int = 0


class Filters:
    """The checks on answers, for one set of human tweets.

    Args:
        prompted: the human tweets of the training split, normalized; they set the range of lengths.
        others: all other human tweets, of all splits, normalized.
    """

    def __init__(self, prompted: Sequence[str], others: Iterable[str]) -> None:
        lengths = np.percentile([len(text) for text in prompted], _LENGTHS)
        self.shortest, self.longest = int(lengths[0]), min(int(lengths[1]), _LONGEST)
        self._human = NearCopies([*prompted, *others])
        self._language = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        self._toxic = _word_list()

    def select(
        self, requests: Iterable[Request], answers: Mapping[str, Answer], rows: int | None = None
    ) -> Outcome:
        """Accept answers in the order of the requests, up to so many rows.

        Requests without an answer are skipped. The outcome does not depend on the order of the answers.
        """
        outcome, accepted = Outcome(), NearCopies()
        for request in requests:
            if rows is not None and len(outcome.rows) >= rows:
                break
            if request.id not in answers:
                continue
            tweet, reason = self._check(answers[request.id], request, accepted)
            outcome.answers += 1
            counts = outcome.by_strategy.setdefault(request.strategy, Counter())
            counts[reason or "kept"] += 1
            if reason:
                outcome.rejected[reason] += 1
                continue
            accepted.add([tweet])
            outcome.rows.append(Row(text=tweet, request=request))
            outcome.toxic += not self._toxic.isdisjoint(words(tweet).split())
        return outcome

    def _check(self, answer: Answer, request: Request, accepted: NearCopies) -> tuple[str, str]:
        """The tweet, and why it is rejected; empty if it is not."""
        if answer.text is None:
            return "", "malformed answer"
        tweet, reason = clean(answer.text, request, finished=answer.finished)
        if reason:
            return tweet, reason
        if len(tweet) < self.shortest:
            return tweet, "too short"
        if len(tweet) > self.longest:
            return tweet, "too long"
        language, probability = self._language.classify(tweet)
        if language != "en" and probability >= _SURE:
            return tweet, "other language"
        if tweet in self._human:
            return tweet, "copy of a human tweet"
        return tweet, "copy of a generated tweet" if tweet in accepted else ""


def _word_list() -> frozenset[str]:
    """The single words of better-profanity's list. Its own matching takes 20 ms a tweet."""
    listing = resources.files("better_profanity") / "profanity_wordlist.txt"
    return frozenset(line.strip() for line in listing.read_text("utf-8").splitlines() if line.strip())
