"""Unlabeled tweets for language modeling or distillation, without those that validation, test or training
already contain."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tweetelm.config.text_config import TextConfig
from tweetelm.data.source_files import find_text_files
from tweetelm.data.tables import read_texts
from tweetelm.files.hashing import md5
from tweetelm.text.normalize import normalize


@dataclass(frozen=True, kw_only=True)
class UnlabeledFiles:
    """The origin of a run's unlabeled tweets; part of its card.

    Attributes:
        files: the patterns of paths and URLs.
        md5: hash of the files' contents and of the column.
        rows: number of tweets used.
        left_out: number of tweets left out by reason.
    """

    files: tuple[str, ...]
    md5: str
    rows: int
    left_out: dict[str, int]

    def __str__(self) -> str:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.items() if count)
        return f"{self.rows:,} unlabeled tweets ({reasons or 'none'} left out)"


def read_unlabeled(
    patterns: Sequence[str],
    column: str,
    *,
    flag: str = "pretrain.text",
    train: Collection[str],
    held_out: Collection[str],
    text: TextConfig,
) -> tuple[list[str], UnlabeledFiles]:
    """Read unlabeled tweets, and leave out those that are empty or occur elsewhere.

    Texts are compared after normalization, as in `training_rows`.

    Args:
        patterns: paths, patterns of paths, and URLs.
        column: the column with the tweet; text files have one tweet a line instead.
        flag: the setting that names the files, for messages.
        train: the training texts.
        held_out: all texts of the other splits.
        text: normalization settings.

    Raises:
        FileNotFoundError: a pattern matches no file.
        ValueError: a file is malformed, or no tweet is left.
    """
    files = find_text_files(str(Path.cwd()), patterns)
    refused, seen = ({normalize(each, text) for each in texts} for texts in (held_out, train))
    left_out = {"empty": 0, "in validation or test": 0, "duplicates": 0}
    kept: list[str] = []
    for tweet in (tweet for file in files for tweet in read_texts(file, column)):
        words = normalize(tweet, text)
        if reason := _reason(words, refused, seen):
            left_out[reason] += 1
        else:
            kept.append(tweet)
            seen.add(words)
    if not kept:
        counts = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise ValueError(f"--{flag}: no tweet of {', '.join(patterns)} is left: {counts}")
    digest = md5(json.dumps([column, *map(md5, files)]).encode())
    return kept, UnlabeledFiles(files=tuple(patterns), md5=digest, rows=len(kept), left_out=left_out)


def _reason(words: str, refused: Collection[str], seen: Collection[str]) -> str:
    """Why a normalized tweet is left out; empty if it is not."""
    if not words.strip():
        return "empty"
    if words in refused:
        return "in validation or test"
    return "duplicates" if words in seen else ""
