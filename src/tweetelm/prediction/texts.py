"""Texts from a list, an array, or a column of a table. A row that is not a text is named."""

from collections.abc import Iterable, Mapping
from typing import Any

DROP_FROM_COLUMN = "Drop such rows, for example with `column.dropna()`, or replace them by ''"


def as_texts(given: Iterable[Any], remedy: str = DROP_FROM_COLUMN) -> list[str]:
    """The texts of a collection, each checked.

    Args:
        given: a list, an iterator, an array, or a column of pandas, polars, pyarrow or `datasets`.
        remedy: what to do with rows that are not texts, for the error message.

    Raises:
        ValueError: `given` is not a collection of texts.
    """
    if hasattr(given, "columns") or hasattr(given, "column_names"):
        raise ValueError(
            'predict was given a table; expected one of its columns: predict(table["text"]), or '
            'predict_frame(table, text="text")'
        )
    if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable):
        raise ValueError(f"predict was given a {type(given).__name__}; expected a text or a list of texts")
    texts = given.to_pylist() if hasattr(given, "to_pylist") else list(given)  # pyarrow iterates over scalars
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"row {position} (counted from 0{_index_label(given, position)}) contains "
                f"{str(text)[:40]!r} of type {type(text).__name__}; expected a text. {remedy}"
            )
    return texts


def _index_label(given: Iterable[Any], position: int) -> str:
    """The index label of a row, if `given` is a pandas column."""
    index = getattr(given, "index", None)
    return "" if index is None or callable(index) else f", index {index[position]}"
