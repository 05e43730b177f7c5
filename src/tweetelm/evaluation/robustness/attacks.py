"""Text attacks that disguise words for a model but keep them readable; pure functions of text and row.

They change every word with at least three ASCII letters. Mentions, links and references are unchanged, so
that they still work. The attacks are strong: they do not try to be inconspicuous.
"""

import random
import re
import unicodedata
from collections.abc import Callable

from tweetelm.text.homoglyphs import EXACT

Disguise = Callable[[str, random.Random], str]

_TOKEN = re.compile(r"\S+")
_UNTOUCHED = re.compile(r"^[@.]*@|^http|://|^www\.|[&<]", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]{3,}")
_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
_DIRECTION = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c"
_MARKS = [chr(code) for code in range(0x300, 0x370) if unicodedata.combining(chr(code))]
_LEET = {"a": "4@", "b": "8", "e": "3", "g": "9", "i": "1!", "l": "1", "o": "0", "s": "5$", "t": "7"}
_TWINS: dict[str, list[str]] = {}
for _code, _letter in EXACT.items():
    _TWINS.setdefault(_letter, []).append(chr(_code))


def disguise(name: str, text: str, row: int, seed: int = 0) -> str:
    """Disguise the words of a text; deterministic in name, row and seed."""
    rng = random.Random(f"{seed} {name} {row}")
    return _TOKEN.sub(lambda token: _disguise_token(token[0], DISGUISES[name], rng), text)


def _disguise_token(token: str, change: Disguise, rng: random.Random) -> str:
    return token if _UNTOUCHED.search(token) else _WORD.sub(lambda word: change(word[0], rng), token)


def _hide_zero_width(word: str, rng: random.Random) -> str:
    return _insert(word, rng, lambda: rng.choice(_ZERO_WIDTH))


def _hide_directions(word: str, rng: random.Random) -> str:
    return _insert(word, rng, lambda: rng.choice(_DIRECTION))


def _stack_marks(word: str, rng: random.Random) -> str:
    return _insert(word, rng, lambda: "".join(rng.choices(_MARKS, k=rng.randint(1, 4))))


def _insert(word: str, rng: random.Random, draw: Callable[[], str]) -> str:
    """Insert drawn strings into about half of the gaps between letters, at least one."""
    gaps = {i for i in range(1, len(word)) if rng.random() < 0.5} or {rng.randrange(1, len(word))}
    return "".join(draw() + letter if i in gaps else letter for i, letter in enumerate(word))


def _take_twins(word: str, rng: random.Random) -> str:
    return _replace(word, rng, lambda letter: _TWINS.get(letter, []))


def _write_leet(word: str, rng: random.Random) -> str:
    return _replace(word, rng, lambda letter: list(_LEET.get(letter.lower(), "")))


def _replace(word: str, rng: random.Random, choices: Callable[[str], list[str]]) -> str:
    """Replace about half of the letters with choices, at least one, by one of their choices."""
    able = [i for i, letter in enumerate(word) if choices(letter)]
    picked = {i for i in able if rng.random() < 0.5} or set(rng.sample(able, min(1, len(able))))
    return "".join(rng.choice(choices(c)) if i in picked else c for i, c in enumerate(word))


def _stretch(word: str, rng: random.Random) -> str:
    at = rng.randrange(len(word))
    return word[:at] + word[at] * rng.randint(3, 7) + word[at + 1 :]


def _widen(word: str, rng: random.Random) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) for letter in word)


DISGUISES: dict[str, Disguise] = {
    "zero-width characters": _hide_zero_width,
    "direction marks": _hide_directions,
    "look-alike letters": _take_twins,
    "full-width letters": _widen,
    "stacked marks": _stack_marks,
    "leetspeak": _write_leet,
    "stretched letters": _stretch,
}
