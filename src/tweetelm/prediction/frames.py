"""Reads a text column of a table, and appends prediction columns to a copy of the table.

Tables are those of pandas, polars, pyarrow and `datasets`. None of these libraries is imported here.
"""

import difflib
import sys
from collections.abc import Sequence
from typing import Any

from tweetelm.prediction.predictions import Prediction
from tweetelm.prediction.texts import as_texts

KINDS = "a table of pandas, polars, pyarrow or datasets"
DROP_FROM_TABLE = "Drop such rows, for example with `frame.dropna(subset=[{!r}])`, or replace them by ''"
TRUNCATED = "truncated"  # the column that tells whether a text exceeded the length limit


def kind_of(frame: Any) -> str:
    """The library of a table: pandas, polars, pyarrow or datasets.

    Raises:
        ValueError: it is no table.
    """
    types = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "Table", "datasets": "Dataset"}
    for library, name in types.items():
        module = sys.modules.get(library)
        if module is not None and isinstance(frame, getattr(module, name)):
            return library
    raise ValueError(f"expected {KINDS}, not {type(frame).__name__}; for a list of texts, use predict")


def column_names(frame: Any) -> list[str]:
    """The names of a table's columns."""
    names = frame.column_names if kind_of(frame) in ("pyarrow", "datasets") else frame.columns
    return list(names)


def column(frame: Any, name: str) -> Any:
    """A column of a table.

    Raises:
        ValueError: the table has no such column, or several.
    """
    names = column_names(frame)
    if names.count(name) == 1:
        return frame[name]
    if name in names:
        raise ValueError(f"the table has {names.count(name)} columns {name!r}; expected one")
    near = difflib.get_close_matches(str(name), [each for each in names if isinstance(each, str)], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"the table has no column {name!r}; it has {', '.join(map(repr, names))}{hint}")


def texts_of(frame: Any, name: str) -> list[str]:
    """The texts of a column.

    Raises:
        ValueError: the column does not exist, or a row is not a text; the message names it.
    """
    return as_texts(column(frame, name), DROP_FROM_TABLE.format(name))


def check_new(frame: Any, labels: Sequence[str], prefix: str) -> None:
    """Raise ValueError if a prediction column has the name of a column of the table."""
    taken = [name for name in new_names(labels, prefix) if name in set(column_names(frame))]
    if taken:
        raise ValueError(
            f"the table already has {', '.join(map(repr, taken))}; predictions replace no column: choose "
            f"other names, for example with prefix={'model_' if not prefix else prefix + '2_'!r}"
        )


def scored_columns(labels: Sequence[str]) -> list[str]:
    """The names of the columns with the predicted label and the probability of each label."""
    return ["label", *(f"prob_{label}" for label in labels)]


def new_names(labels: Sequence[str], prefix: str) -> list[str]:
    """The names of the prediction columns, in order."""
    return [f"{prefix}{name}" for name in (*scored_columns(labels), TRUNCATED)]


def with_predictions(
    frame: Any, predictions: Sequence[Prediction], labels: Sequence[str], prefix: str
) -> Any:
    """A new table: all columns of `frame`, then the predicted label, a probability per label, and truncation.

    Keeps rows, their order and, in pandas, the index.
    """
    import numpy as np  # here, so that the HTTP API starts without it

    shares = np.asarray([p.probabilities for p in predictions], dtype=np.float64)
    values: list[Any] = [
        np.asarray([p.label for p in predictions], dtype=object),
        *shares.reshape(len(predictions), len(labels)).T,
        np.asarray([p.truncated for p in predictions], dtype=bool),
    ]
    return _append(frame, dict(zip(new_names(labels, prefix), values, strict=True)))


def _append(frame: Any, columns: dict[str, Any]) -> Any:
    kind = kind_of(frame)
    if kind == "pandas":
        pandas = sys.modules["pandas"]
        return pandas.concat([frame, pandas.DataFrame(columns, index=frame.index)], axis=1)
    if kind == "polars":
        return frame.hstack(sys.modules["polars"].DataFrame(columns))
    import pyarrow

    added = pyarrow.table(columns)
    if kind == "datasets":
        datasets = sys.modules["datasets"]
        return datasets.concatenate_datasets([frame, datasets.Dataset(added)], axis=1)
    for name in added.column_names:
        frame = frame.append_column(name, added[name])
    return frame
