"""Replaces look-alikes and ornamented Latin letters by plain Latin letters."""

import re
import unicodedata

from tweetelm.text.homoglyph_table import LIKE_SMALL_CAPITALS, LOOKALIKES


def _by_code(table: dict[str, str]) -> dict[int, str]:
    return {int(code, 16): letter for letter, codes in table.items() for code in codes.split()}


EXACT = _by_code(LOOKALIKES)
"""Code point of a look-alike to its ASCII letter."""
MIXED = _by_code(LIKE_SMALL_CAPITALS) | EXACT
"""`EXACT` with look-alikes of small capitals: Cyrillic `т` and `н` become t and h in a Latin word."""

_SYMBOLS = "".join(re.escape(chr(code)) for code in MIXED if not re.match(r"\w", chr(code)))
_WORD = re.compile(rf"[\w{_SYMBOLS}]+")
_LATIN = re.compile(r"[A-Za-z]")
_COMPATIBLE = re.compile(
    "[ªºſʰ-ʸˡ-ˣᴬ-ᵪⁱⁿₐ-ₜℂ-⅏Ⅰ-ⅿⒶ-ⓩﬀ-ﬆ\uff01-\uff5e\U0001d400-\U0001d7ff\U0001f130-\U0001f149]"
)
_MARKED = re.compile(
    "([A-Za-z0-9 _])[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20e2\ufe20-\ufe2f]+"
)


def fold(text: str) -> str:
    """Replace look-alikes of Latin letters by the letters.

    Compatibility letters (full-width, mathematical, circled, ligatures) are replaced everywhere. Letters of
    other scripts are replaced in words with a Latin letter. They are also replaced in words that consist of
    look-alikes only, if at least half of the text's distinguishable letters are Latin. Russian, Greek and
    Japanese text is unchanged.
    """
    if text.isascii():
        return text
    text = _COMPATIBLE.sub(lambda match: compatible(match[0]), text)
    latin = _is_latin(text)
    return _WORD.sub(lambda match: _fold_word(match[0], latin), text)


def compatible(character: str) -> str:
    """The plain form of a compatibility character. Only a letter may become several letters: `ﬁ`, not `™`."""
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 or character.isalpha() else character


def strip_marks(text: str) -> str:
    """Remove accents and stacked marks from Latin letters, digits and spaces. The result is in NFC."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _MARKED.sub(r"\1", unicodedata.normalize("NFD", text)))


def _fold_word(word: str, latin: bool) -> str:
    if word.isascii():
        return word
    if _LATIN.search(word):
        return word.translate(MIXED)
    plain = word.translate(EXACT)
    return plain if latin and len(word) > 1 and plain.isascii() and plain.isalpha() else word


def _is_latin(text: str) -> bool:
    """Whether at least half of the letters are Latin; look-alikes of other scripts are not counted."""
    letters = [c for c in text if c.isalpha()]
    return 2 * sum(c.isascii() for c in letters) >= sum(ord(c) not in EXACT for c in letters)
