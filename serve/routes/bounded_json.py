"""JSON whose size in values is known before any of them is made: a value costs up to 50 times its bytes."""

import json
import re
from typing import Any

from serve.inference.engine import MOST_INPUTS

MOST_PIECES = 8 * MOST_INPUTS
"""Strings, brackets and commas of a text: as many as the longest list of the wordiest protocol has."""
# A string that never ends is one piece too: the search must not begin again inside it.
_PIECE = re.compile(rb'"(?:[^"\\]++|\\.|\\\Z)*+(?:"|\Z)|[\[{,]', re.DOTALL)


class TooManyValuesError(ValueError):
    """No request needs so many."""


def loads(text: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises:
        TooManyValuesError: it has more pieces than `MOST_PIECES`.
        ValueError: it is no JSON.
        RecursionError: it is too deep.
    """
    if any(place >= MOST_PIECES for place, _ in enumerate(_PIECE.finditer(text))):
        raise TooManyValuesError(f"more than {MOST_PIECES} strings, lists and fields")
    return json.loads(text)
