"""An archive for benchmarks: real tweets repeated with variations, a third of them retweets."""

import csv
import gzip
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tweetelm.data import load
from tweetelm.tasks import HATE

RETWEETS = 1 / 3
COLUMNS = ["id", "created", "user", "text"]


def real_tweets(data: str) -> list[str]:
    """All texts of the hate task."""
    splits = load(HATE, data)
    return [text for split in splits.values() for text in split["text"] if text.strip()]


def texts(base: list[str], count: int, seed: int = 0) -> Iterator[str]:
    """Distinct texts made from real ones; a third of all repeat an earlier one.

    A text that comes again from `base` gets another number, as in "… 17".
    """
    chance, written = random.Random(seed), 0
    for _ in range(count):
        if written and chance.random() < RETWEETS:
            yield _variation(base, chance.randrange(written))
        else:
            yield _variation(base, written)
            written += 1


def _variation(base: list[str], number: int) -> str:
    again, index = divmod(number, len(base))
    return f"{base[index]} {again}" if again else base[index]


def write_archive(folder: Path, base: list[str], count: int) -> None:
    """Write half of the rows as CSV and half as compressed CSV."""
    rows = enumerate(texts(base, count))
    folder.mkdir(parents=True)
    with (folder / "a.csv").open("w", newline="", encoding="utf-8") as file:
        _write(file, rows, count // 2)
    with gzip.open(folder / "b.csv.gz", "wt", newline="", encoding="utf-8", compresslevel=6) as file:
        _write(file, rows, count - count // 2)


def _write(file: TextIO, rows: Iterator[tuple[int, str]], count: int) -> None:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for _ in range(count):
        number, text = next(rows)
        writer.writerow([10**18 + number, f"2026-11-{number % 30 + 1:02d}", f"user{number % 9973}", text])
