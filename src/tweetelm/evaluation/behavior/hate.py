"""The behavioral suite of `hate`: hateful texts, harmless texts, and hateful texts in other spellings."""

import random
import tomllib
from collections.abc import Callable
from pathlib import Path

from tweetelm.evaluation.behavior.cases import Case, Functionality, Group, about, plain, spelled
from tweetelm.evaluation.robustness.attacks import disguise

_BLUNT = """
{Them} are vermin, throw all of them out
I hate {them}, they are disgusting and stupid
"""
_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
GROUPS = tuple(Group(**group) for group in _DATA["group"])


def hate_suite() -> tuple[Functionality, ...]:
    """All functionalities; every call returns the same cases."""
    written = (
        Functionality(name=f["name"], claim=f["claim"], expected=f["expected"], cases=_cases(f))
        for f in _DATA["functionality"]
    )
    return (*written, *_misspelled())


def _cases(functionality: dict[str, str]) -> tuple[Case, ...]:
    if "templates" in functionality:
        return about(functionality["templates"], GROUPS)
    return plain(functionality["texts"])


def _misspelled() -> tuple[Functionality, ...]:
    """Two explicit sentences about each group in several spellings."""
    spellings: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("typos", _swap_letters),
        ("missing spaces", lambda text: text.replace(" ", "")),
        ("spaced-out letters", lambda text: " ".join(text)),
        ("dotted letters", lambda text: " ".join(".".join(word) for word in text.split())),
        ("capitals", str.upper),
        ("leetspeak", lambda text: disguise("leetspeak", text, 0)),
        ("stretched letters", lambda text: disguise("stretched letters", text, 0)),
        ("look-alike letters", lambda text: disguise("look-alike letters", text, 0)),
        ("zero-width characters", lambda text: disguise("zero-width characters", text, 0)),
    )
    blunt = about(_BLUNT, GROUPS)
    return tuple(
        Functionality(
            name=f"spelling: {name}",
            claim="detects hate in this spelling",
            expected="hate",
            cases=spelled(blunt, spell),
        )
        for name, spell in spellings
    )


def _swap_letters(text: str) -> str:
    """Swap two adjacent inner letters of every word with at least four letters."""
    rng = random.Random(text)
    return " ".join(
        _swap(word, rng.randrange(1, len(word) - 2)) if len(word) > 3 else word for word in text.split()
    )


def _swap(word: str, at: int) -> str:
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
