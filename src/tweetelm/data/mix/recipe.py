"""A recipe: the base, the parts and the rules of a mixed dataset."""

from dataclasses import dataclass, field
from typing import Any

from tweetelm.tasks import SplitRule

TRAIN, GENERATED_TEST = "train", "generated-test"
EVERY = "*"  # the key of a quota that holds for all names without their own


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of a part. The last three are optional in its file."""

    text: str = "text"
    label: str = "account.type"
    account: str = "screen_name"
    generator: str = "class_type"
    prompt_id: str = "prompt_id"
    imitated: str = "imitated"
    sources: str = "sources"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows to add.

    Attributes:
        name: unique in the recipe.
        path: a folder with rows.csv and manifest.json, or tables; relative to the recipe's folder.
        share: share of the rows for `generated-test`: 0 for a training part, 1 for a test part.
        columns: names of the columns.
        label, account, generator: a value for all rows, instead of a column.
        license: terms of the rows; by default those of the manifest.
    """

    name: str
    path: str
    share: float = 0.0
    columns: Columns = field(default_factory=Columns)
    label: str | None = None
    account: str | None = None
    generator: str | None = None
    license: str | None = None


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """Maximum numbers of added rows, by name; the key `*` holds for all other names.

    They hold for training and for `generated-test` each. Without a base, training is divided into train,
    validation and test afterwards, so that a maximum holds for these together.

    Attributes:
        label, generator, account: the maximum by name. Rows without an author have no account.
        balance: remove added rows of frequent labels until all labels have equally many rows.
    """

    label: dict[str, int] = field(default_factory=dict)
    generator: dict[str, int] = field(default_factory=dict)
    account: dict[str, int] = field(default_factory=dict)
    balance: bool = False


@dataclass(frozen=True, kw_only=True)
class Cues:
    """Matching of surface cues.

    Attributes:
        match: resample added machine rows until their cues are those of human rows.
        human: the label of human rows; None if the labels have none.
        goal: the largest distance from chance of a classifier on cues alone.
    """

    match: bool = True
    human: str | None = None
    goal: float = 0.05


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A mixed dataset.

    Attributes:
        name: name of the new task.
        seed: of all random choices.
        base: task whose splits are the base, by its name or file; None without a base.
        labels: the labels in order.
        parts: what is added, in order.
        quotas, cues: the rules.
        split: how rows are divided if there is no base.
        license: terms of the whole; empty if the recipe has none.
        place: the recipe's folder.
        values: the recipe as it was read.
    """

    name: str
    seed: int
    base: str | None
    labels: tuple[str, ...]
    parts: tuple[Part, ...]
    quotas: Quotas
    cues: Cues
    split: SplitRule
    license: str
    place: str
    values: dict[str, Any]
