"""Tweets for tests: the real dataset if it is present, else the sample."""

import random
from collections.abc import Sequence

from datasets import Dataset

from tests.support.places import ROOT
from tweetelm.data import load
from tweetelm.tasks import HATE

REAL = ROOT / "data"


def thousand_tweets() -> Dataset:
    """Up to 1,000 non-empty tweets of the hate task's test split."""
    split = load(HATE, REAL if (REAL / "hate").is_dir() else "sample")["test"]
    split = split.filter(lambda row: bool(row["text"].strip()))
    return split.select(range(min(1000, len(split))))


def portions(texts: Sequence[str], most: int = 32) -> list[list[str]]:
    """The texts in order, in portions of random sizes from 1 to `most`."""
    rng, result = random.Random(0), []
    start = 0
    while start < len(texts):
        size = rng.randint(1, most)
        result.append(list(texts[start : start + size]))
        start += size
    return result
