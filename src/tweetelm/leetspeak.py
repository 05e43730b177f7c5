"""Digits and signs that stand for letters inside a word: `h4te`, `w0men`, `b!tch`.

Numbers, ordinals, units, years behind a word, product names, prices, handles and links are left alone, at the
price of some disguises: a lone sign at a word's end (`hate5`), or a word of signs only (`15` for `is`).
"""

import re

LETTERS = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g",
           "$": "s", "€": "e", "!": "i", "@": "a"}  # fmt: skip
"""The letter that a sign stands for."""

_TELLING = re.compile(r"[A-Za-z][0-9$€!@]|[0-9$€][A-Za-z]")
_TOKEN = re.compile(r"\S+")
_CORE = re.compile(r"[A-Za-z0-9$€!@]+")
_ORDINAL = r"(?!\d?(?:st|nd|rd|th)(?![a-z]))"
_INSIDE = re.compile(
    rf"(?:(?<=[a-z])|(?<=(?<![A-Za-z0-9$€!@])[A-Z])){_ORDINAL}(?:[013-9$€]|!|@(?!user)){{1,2}}(?=[a-z])"
    r"|(?<=[A-Z])[013-9$€@]{1,2}(?=[A-Z])"
)
_EDGES = re.compile(r"^[013-9$€]{1,2}(?=[A-Za-z])|(?<=[A-Za-z])[013-9$€]{1,2}(?=!*$)")
_UNITS = "year|hour|minute|second|month|week|mill|bill|trill|people|times|star|some"
_LONE_START = re.compile(rf"^[1357](?!{_UNITS})(?=[a-z]{{4,}}!*$)|^0(?=[a-wyz][a-z]*!*$)|^\$(?=[a-z]{{3,}})")
_LONE_END = re.compile(r"(?<=[A-Za-z]{3})\$(?=!*$)")
_HANDLE = re.compile(r"^@|[A-Za-z]{4}@|@[A-Za-z]{6}|@.*@")
_ADDRESS = re.compile(r"://|^www\.|&#|@\w+\.\w|\b0x[0-9a-f]", re.IGNORECASE)


def fold(text: str) -> str:
    """Write letters for the signs that stand for them."""
    if not _TELLING.search(text):
        return text
    return _TOKEN.sub(_fold_token, text)


def _fold_token(match: re.Match[str]) -> str:
    token = match[0]
    if not _TELLING.search(token) or _ADDRESS.search(token):
        return token
    return _CORE.sub(lambda core: _fold_core(core[0]), token)


def _fold_core(core: str) -> str:
    if _HANDLE.search(core):
        return core
    folded = _INSIDE.sub(_spell, core)
    if folded != core:
        return _EDGES.sub(_spell, folded)
    return _LONE_END.sub(_spell, _LONE_START.sub(_spell, core))


def _spell(match: re.Match[str]) -> str:
    """`1` is an i, but an l where it is doubled or ends a word after a consonant: `k1ll`, `he11`, `g1r1`."""
    signs, text = match[0], match.string
    last = match.end() == len(text.rstrip("!")) and text[match.start() - 1].lower() not in "aeiou"
    spelt = "ll" if signs == "11" else "l" if signs == "1" and last else _letters(signs)
    around = text[max(match.start() - 1, 0) : match.end() + 1]
    return spelt.upper() if len(around) > len(signs) and around.upper() == around else spelt


def _letters(signs: str) -> str:
    return "".join(LETTERS[sign] for sign in signs)
