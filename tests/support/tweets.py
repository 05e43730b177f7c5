"""Tweets by the thousand: real ones where they are, those of the sample elsewhere."""

import random
from collections.abc import Sequence

from datasets import Dataset

from tests.support.places import ROOT
from tweetelm.data import load
from tweetelm.tasks import HATE

REAL = ROOT / "data"


def thousand_tweets() -> Dataset:
    """Of the test split of hate; fewer if it has fewer. Every one has some text."""
    split = load(HATE, REAL if (REAL / "hate").is_dir() else "sample")["test"]
    split = split.filter(lambda row: bool(row["text"].strip()))
    return split.select(range(min(1000, len(split))))


def portions(texts: Sequence[str], most: int = 32) -> list[list[str]]:
    """The texts in their order, dealt out in portions of changing size."""
    sizes, dealt = random.Random(0), []
    start = 0
    while start < len(texts):
        size = sizes.randint(1, most)
        dealt.append(list(texts[start : start + size]))
        start += size
    return dealt
