"""Shortens elongated words, such as `haaaate` and `sooooo`, to their plain spelling where it is known."""

import re

from tweetelm.text.wordlist import EVERYDAY, is_everyday

DOUBLED = frozenset(word for word in EVERYDAY if re.search(r"(.)\1", word))

MOST_STRETCHES = 3
_WORD = re.compile(r"[^\W\d_]+")
_STRETCH = re.compile(r"([^\W\d_])\1\1+")
_ONE_LETTER = re.compile(r"([^\W\d_])\1+")
_NO_STRETCH = re.compile(r"[IVX]+|[ivx]+|[A-Z]{4}")  # VIII, IEEE


def shorten(text: str) -> str:
    """Reduce runs of three or more equal letters to one, or to two if that gives an everyday word.

    A word that consists of one repeated letter keeps three: `KKK`, `www`.
    """
    if not _STRETCH.search(text):
        return text
    return _WORD.sub(lambda match: _shorten_word(match[0]), text)


def _shorten_word(word: str) -> str:
    stretches = [
        match.span() for match, _ in zip(_STRETCH.finditer(word), range(MOST_STRETCHES + 1), strict=False)
    ]
    if not stretches or _NO_STRETCH.fullmatch(word):
        return word
    if _ONE_LETTER.fullmatch(word):
        return word[:3]
    if len(stretches) <= MOST_STRETCHES:
        for start, end in stretches:
            doubled = (
                _STRETCH.sub(r"\1", word[:start]) + word[start : start + 2] + _STRETCH.sub(r"\1", word[end:])
            )
            if is_everyday(doubled.lower(), DOUBLED):
                return doubled
    return _STRETCH.sub(r"\1", word)
