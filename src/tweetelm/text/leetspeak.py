"""Replaces digits and signs used as letters: `h4te`, `w0men`, `b!tch`, `$tup1d`.

Signs are replaced if the result is an everyday word, or if they are between letters. Numbers, ordinals,
units, years after a word, prices, handles and links are unchanged. Words of signs only (`15` for `is`) are
unchanged too.
"""

import itertools
import re

from tweetelm.text.wordlist import is_everyday

LETTERS = {"0": "o", "1": "il", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g",
           "$": "s", "€": "e", "!": "i", "@": "a"}  # fmt: skip
"""The letters that a sign can replace, the most likely first."""

MOST_SIGNS = 8
_TELLING = re.compile(r"[A-Za-z][0-9$€!@]|[0-9$€!@][A-Za-z]")
_TOKEN = re.compile(r"\S+")
_CORE = re.compile(r"[A-Za-z0-9$€!@]+")
_SIGN = re.compile(r"[013-9$€!@]")
_ORDINAL = r"(?!\d?(?:st|nd|rd|th)(?![a-z]))"
_INSIDE = re.compile(
    rf"(?:(?<=[a-z])|(?<=(?<![A-Za-z0-9$€!@])[A-Z])){_ORDINAL}(?:[013-9$€]|!|@(?!user)){{1,2}}(?=[a-z])"
    r"|(?<=[A-Z])[013-9$€@]{1,2}(?=[A-Z])"
)
_EDGES = re.compile(r"^[013-9$€]{1,2}(?=[A-Za-z])|(?<=[A-Za-z])[013-9$€]{1,2}(?=!*$)")
_AMOUNT = re.compile(
    r"[$€]?[0-9]+(?:[bdgkmsx]|bn|[ap]m|st|nd|rd|th|[gmt]b|ft|[ckm]m|kg|hr|y[or])", re.IGNORECASE
)
_HANDLE = re.compile(r"^@|[A-Za-z]{4}@|@[A-Za-z]{6}|@.*@")
_ADDRESS = re.compile(r"://|^www\.|&#|@\w+\.\w|\b0x[0-9a-f]", re.IGNORECASE)


def fold(text: str) -> str:
    """Replace signs by the letters that they represent."""
    if not _TELLING.search(text):
        return text
    return _TOKEN.sub(_fold_token, text)


def _fold_token(match: re.Match[str]) -> str:
    token = match[0]
    if not _TELLING.search(token) or _ADDRESS.search(token):
        return token
    return _CORE.sub(lambda core: _fold_core(core[0]), token)


def _fold_core(core: str) -> str:
    stem = core.rstrip("!")
    word = _everyday(stem)
    return word + core[len(stem) :] if word else _fold_inside(core)


def _everyday(core: str) -> str:
    """The everyday word that a core of letters and a few signs represents; empty if there is none."""
    positions = [match.start() for match in _SIGN.finditer(core[:40])]
    if len(core) not in range(3, 25) or not 0 < len(positions) <= MOST_SIGNS or _AMOUNT.fullmatch(core):
        return ""
    if core[0] == "@" and is_everyday(core[1:].lower()):
        return ""  # a handle such as @women
    letters = list(core)
    for spelling in itertools.islice(itertools.product(*(LETTERS[core[i]] for i in positions)), 16):
        for position, letter in zip(positions, spelling, strict=True):
            letters[position] = letter
        word = "".join(letters)
        if is_everyday(word.lower()):
            return word.upper() if _is_shouted(core) else word
    return ""


def _is_shouted(core: str) -> bool:
    return core.upper() == core and sum(map(str.isalpha, core)) > 1


def _fold_inside(core: str) -> str:
    if _HANDLE.search(core):
        return core
    folded = _INSIDE.sub(_spell, core)
    return core if folded == core else _EDGES.sub(_spell, folded)


def _spell(match: re.Match[str]) -> str:
    """`1` becomes i; doubled, or at the end of a word after a consonant, l: `k1ll`, `he11`, `g1r1`."""
    signs, text = match[0], match.string
    last = match.end() == len(text.rstrip("!")) and text[match.start() - 1].lower() not in "aeiou"
    spelled = "ll" if signs == "11" else "l" if signs == "1" and last else _likeliest(signs)
    around = text[max(match.start() - 1, 0) : match.end() + 1]
    return spelled.upper() if len(around) > len(signs) and around.upper() == around else spelled


def _likeliest(signs: str) -> str:
    return "".join(LETTERS[sign][0] for sign in signs)
