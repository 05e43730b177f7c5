"""The columns that classification adds: label, one probability per label, version, truncated."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tweetelm.archive.dedup import Answer
from tweetelm.prediction.frames import TRUNCATED, scored_columns

VERSION = "version"


def added_names(labels: Sequence[str], prefix: str = "") -> tuple[str, ...]:
    """The names of the added columns, in order."""
    return tuple(prefix + name for name in (*scored_columns(labels), VERSION, TRUNCATED))


def check_collisions(place: str, names: Sequence[str], added: Sequence[str]) -> None:
    """Raise ValueError if a file has a column that would be added."""
    taken = [name for name in added if name in names]
    if taken:
        raise ValueError(
            f"{place} already has the columns {', '.join(map(repr, taken))}, which would be added; choose "
            "a prefix for the added columns, such as --prefix tweetelm_"
        )


def added_table(answers: Sequence[Answer], labels: Sequence[str], version: str, prefix: str) -> Any:
    """The added columns as a pyarrow table."""
    import pyarrow

    probabilities = np.frombuffer(b"".join(answer.packed for answer in answers)).reshape(-1, len(labels))
    columns = [
        pyarrow.array([answer.label for answer in answers], pyarrow.string()),
        *(pyarrow.array(column) for column in np.ascontiguousarray(probabilities.T)),
        pyarrow.array([version] * len(answers), pyarrow.string()),
        pyarrow.array([answer.truncated for answer in answers], pyarrow.bool_()),
    ]
    return pyarrow.table(columns, names=list(added_names(labels, prefix)))
