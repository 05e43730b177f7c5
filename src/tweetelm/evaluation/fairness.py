"""Error rates by group: groups of people named in tweets (hate), or imitated people (deepfake)."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from tweetelm.data.personas import persona
from tweetelm.evaluation.intervals import wilson
from tweetelm.tasks import Task

FEWEST = 20  # minimum tweets for a rate
ACCOUNT = "screen_name"
TERMS: dict[str, str] = {
    "women": r"wom[ae]n|female|females",
    "girls": r"girls?",
    "men": r"m[ae]n|males?",
    "immigrants": r"immigrants?|immigration",
    "migrants": r"migrants?",
    "refugees": r"refugees?",
    "muslims": r"muslims?|islam|islamic",
    "christians": r"christians?",
    "jews": r"jews?|jewish",
    "mexicans": r"mexicans?|mexico",
    "syrians": r"syrians?|syria",
    "africans": r"africans?|africa",
    "arabs": r"arabs?",
    "black": r"blacks?",
    "white": r"whites?",
    "gay": r"gays?|lesbians?|lgbt\w*",
    "trans": r"trans|transgender",
}

Ints = npt.NDArray[np.integer[Any]]
Masks = Iterator[tuple[str, npt.NDArray[np.bool_]]]


def error_rates(split: Dataset, task: Task, labels: Ints, predicted: Ints) -> list[dict[str, Any]]:
    """The share of wrong predictions among tweets of a label, overall (group "") and by group, as JSON data.

    For `hate`: not-hate tweets predicted as hate, by the people they name. For `deepfake`: tweets of both
    labels, by persona. Else: tweets of all labels, by the people they name. Each item has group, label,
    tweets, errors, rate, low and high (Wilson's 95 % interval). Groups with fewer than 20 tweets of the
    label are omitted.
    """
    reported = range(1 if task.suite == "hate" else len(task.labels))
    masks = list(_groups(split))
    found = []
    for label in reported:
        has = labels == label
        for group, mask in [("", np.ones(len(labels), dtype=bool)), *masks]:
            rows = has & mask
            if rows.sum() >= (FEWEST if group else 1):
                found.append(_rate(group, task.labels[label], predicted[rows] != label))
    return found


def _rate(group: str, label: str, wrong: npt.NDArray[np.bool_]) -> dict[str, Any]:
    errors, tweets = int(wrong.sum()), len(wrong)
    rate = wilson(errors, tweets)
    assert rate is not None  # there are tweets
    ends = {"rate": rate.value, "low": rate.low, "high": rate.high}
    return {"group": group, "label": label, "tweets": tweets, "errors": errors} | ends


def _groups(split: Dataset) -> Masks:
    if ACCOUNT in split.column_names:
        personas = np.asarray([persona(account) for account in split[ACCOUNT]])
        yield from ((name, personas == name) for name in sorted(set(personas.tolist())))
        return
    yield from ((name, naming(split["text"], pattern)) for name, pattern in TERMS.items())


def naming(texts: Sequence[str], pattern: str) -> npt.NDArray[np.bool_]:
    """(N,) bool: which texts contain a word or hashtag that matches the pattern."""
    word = re.compile(rf"(?<![\w@])#?(?:{pattern})(?!\w)", re.IGNORECASE)
    return np.asarray([bool(word.search(text)) for text in texts])
