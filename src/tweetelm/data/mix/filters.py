"""Leaves out added rows that would damage the dataset or leak between its splits; counts them by reason."""

from collections import Counter
from collections.abc import Iterable, Iterator

from tweetelm.data.audit.check import LONG
from tweetelm.data.audit.text_damage import DAMAGE
from tweetelm.data.duplicates import near_duplicate_key
from tweetelm.data.mix.base import Base
from tweetelm.data.mix.parts import PartRows
from tweetelm.data.mix.rows import Row
from tweetelm.data.near_copies import NearCopies

LeftOut = Counter[tuple[str, str]]
"""The number of rows that were left out, by part and reason."""


def usable(rows: Iterable[Row], base: Base, left_out: LeftOut) -> list[Row]:
    """The rows with undamaged texts, known sources, and no near-copy in the base or among the rows before."""
    added = NearCopies()
    kept: list[Row] = []
    for row in rows:
        reason = _damage(row.text) or _unknown_source(row, base) or _copied(row.text, base, added)
        if reason:
            left_out[row.part, reason] += 1
        else:
            added.add([row.text])
            kept.append(row)
    return kept


def _damage(text: str) -> str:
    if not text.strip():
        return "empty"
    if not near_duplicate_key(text):
        return "no words"
    if "\0" in text:
        return "NUL character"
    if len(text) > LONG:
        return f"over {LONG:,} characters"
    return next((what for what, is_damaged in DAMAGE.items() if is_damaged(text)), "")


def _unknown_source(row: Row, base: Base) -> str:
    """A prompt may show rows of the base's training split only, so their numbers must be its rows."""
    if base.task is None:
        return ""
    size = len(base.splits["train"])
    outside = [
        word for word in row.sources.split() if not (word.isascii() and word.isdecimal() and int(word) < size)
    ]
    return "source outside the base's training split" if outside else ""


def check_prompts(parts: Iterable[PartRows], base: Base) -> None:
    """Check that the `sources` of each part number rows of this base, as far as its manifest says.

    Raises:
        ValueError: the prompts of a part showed another task or other data.
    """
    if base.task is None:
        return
    own = {"task": base.task.name, "data": base.md5}
    for part in parts:
        settings = part.manifest.get("settings", {})
        stated = {key: settings[key] for key in own if key in settings}
        if stated != {key: own[key] for key in stated} and any(row.sources for row in part.rows):
            raise ValueError(
                f"part {part.part.name}: its prompts showed rows of task {settings.get('task', 'unknown')!r} "
                f"with data md5 {settings.get('data', 'unknown')}; the base is {base.task.name!r} with data "
                f"md5 {base.md5}; mix the part with the task and data that it was generated from, or "
                "generate it again from this base"
            )


def _copied(text: str, base: Base, added: NearCopies) -> str:
    for split in ("test", "validation", "train"):
        if text in base.near_copies[split]:
            return f"near-copy of a {split} row of the base"
    return "near-copy of another added row" if text in added else ""


def apart_from_base(
    train: list[Row], test: list[Row], base: Base, left_out: LeftOut
) -> tuple[list[Row], list[Row]]:
    """Leave out added rows whose author would cross between the base's splits and theirs.

    An author who is in several splits of the base already may write further training rows.
    """
    trained = base.accounts("train")
    held_out = base.accounts("validation", "test") - trained
    seen = base.accounts("train", "validation")
    return (
        list(_others(train, held_out, "author is in the base's held-out rows only", left_out)),
        list(_others(test, seen, "author is in the base's training or validation", left_out)),
    )


def _others(rows: list[Row], accounts: set[str], reason: str, left_out: LeftOut) -> Iterator[Row]:
    for row in rows:
        if row.account.casefold() in accounts:
            left_out[row.part, reason] += 1
        else:
            yield row
