"""The rows of the base task, whose splits a mixed dataset keeps."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tweetelm.data.load import SPLITS, load
from tweetelm.data.mix.recipe import Recipe
from tweetelm.data.mix.rows import Row
from tweetelm.data.near_copies import NearCopies
from tweetelm.data.provenance import provenance
from tweetelm.tasks import Task, find_task


@dataclass(frozen=True, kw_only=True)
class Base:
    """The base, empty if the recipe has none.

    Attributes:
        task: the task; None without a base.
        splits: its rows by split, in order.
        md5: hash of its files.
    """

    task: Task | None = None
    splits: dict[str, list[Row]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    md5: str = ""

    @cached_property
    def near_copies(self) -> dict[str, NearCopies]:
        """The texts of each split, to look for near-copies in."""
        return {split: NearCopies(row.text for row in rows) for split, rows in self.splits.items()}

    def accounts(self, *splits: str) -> set[str]:
        """The authors in splits, without case."""
        return {row.account.casefold() for split in splits for row in self.splits[split] if row.account}


def read_base(recipe: Recipe, root: str | Path) -> Base:
    """Read the base task. Raises the errors of `load`."""
    if recipe.base is None:
        return Base()
    task = find_task(recipe.base)
    dataset = load(task, root)
    return Base(
        task=task,
        splits={split: _rows(task, dataset[split].to_dict()) for split in SPLITS},
        md5=provenance(task, root).md5,
    )


def _rows(task: Task, columns: dict[str, list[str | int]]) -> list[Row]:
    """Rows without authors or generators have an empty author, and the label as the generator."""
    labels = [task.labels[int(label)] for label in columns["label"]]
    group = task.data.group if task.data else "screen_name"
    accounts = columns.get(group or "", [""] * len(labels))
    generators = columns.get("class_type", labels)
    return [
        Row(text=str(text), label=label, account=str(account), generator=str(generator), part=task.name)
        for text, label, account, generator in zip(columns["text"], labels, accounts, generators, strict=True)
    ]
