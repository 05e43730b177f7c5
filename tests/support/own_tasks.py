"""Tasks of one's own for tests: tables of made-up tweets with their task files."""

import csv
import random
from collections.abc import Sequence
from pathlib import Path

from tests.support.data_command import run_data

SUBJECTS = ("the council", "my neighbor", "this bus line", "our team", "the new park", "that song")
ENDINGS = ("today", "again", "this morning", "for once", "as ever", "in the rain", "at noon", "tonight")
WORDS = [
    "lovely",
    "awful",
    "quiet",
    "bright",
    "broken",
    "gentle",
    "noisy",
    "salty",
    "wooden",
    "frozen",
    "hollow",
    "golden",
    "rusty",
    "velvet",
    "sharp",
]


def tweets(label: int, count: int, seed: int = 0) -> list[str]:
    """Distinct tweets whose words tell the label: one of two words of the label is in each."""
    rng = random.Random(f"{label}-{seed}")
    own = (f"zim{label}", f"qua{label}")
    return [
        f"{rng.choice(SUBJECTS)} is {rng.choice(own)} and {rng.choice(WORDS)}, "
        f"{rng.choice(WORDS)} {rng.choice(ENDINGS)}, no. {number}"
        for number in range(count)
    ]


def write_csv(path: Path, labels: Sequence[str], rows_per_label: int, delimiter: str = ",") -> Path:
    """A CSV file with the columns tweet, side, author and topic, in random order."""
    rows = [
        (text, label, f"author{number % 40}", ("bus", "park")[number % 2])
        for index, label in enumerate(labels)
        for number, text in enumerate(tweets(index, rows_per_label))
    ]
    random.Random(0).shuffle(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["tweet", "side", "author", "topic"])
        writer.writerows(rows)
    return path


def write_tweeteval(folder: Path, labels: Sequence[str], rows_per_label: int) -> None:
    """A folder in TweetEval's layout; validation and test have half as many rows as train."""
    folder.mkdir(parents=True)
    (folder / "mapping.txt").write_text("\n".join(f"{i}\t{label}" for i, label in enumerate(labels)))
    for seed, (split, count) in enumerate((("train", 1.0), ("val", 0.5), ("test", 0.5))):
        rows = [
            (f"{text} in {folder.name}", label)
            for label in range(len(labels))
            for text in tweets(label, int(rows_per_label * count), seed)
        ]
        random.Random(seed).shuffle(rows)
        (folder / f"{split}_text.txt").write_text("".join(f"{text}\n" for text, _ in rows))
        (folder / f"{split}_labels.txt").write_text("".join(f"{label}\n" for _, label in rows))


def init_task(table: Path) -> Path:
    """The task file that `tweetelm data init` writes beside a table of `write_csv`, in the working folder."""
    assert run_data(["init", str(table), "--text", "tweet", "--label", "side"]) == 0
    return Path.cwd() / f"{table.stem}.toml"
