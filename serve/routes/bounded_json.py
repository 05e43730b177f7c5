"""Limits the number of JSON values before parsing: a parsed value needs up to 50 times the memory of its
text."""

import json
import re
from typing import Any

from serve.inference.engine import MOST_INPUTS

MOST_PIECES = 8 * MOST_INPUTS
"""Maximum strings, brackets and commas; enough for the longest list in the most verbose protocol."""
# An unterminated string counts as one piece, so that the search does not restart inside it (quadratic time).
_PIECE = re.compile(rb'"(?:[^"\\]++|\\.|\\\Z)*+(?:"|\Z)|[\[{,]', re.DOTALL)


class TooManyValuesError(ValueError):
    """The JSON text has more values than any valid request."""


def loads(text: bytes) -> Any:
    """Parse a JSON text in UTF-8.

    Raises:
        TooManyValuesError: it has more than `MOST_PIECES` strings, brackets and commas.
        ValueError: it is not valid JSON.
        RecursionError: it is nested too deeply.
    """
    if any(index >= MOST_PIECES for index, _ in enumerate(_PIECE.finditer(text))):
        raise TooManyValuesError(f"more than {MOST_PIECES} strings, lists and fields")
    return json.loads(text)
