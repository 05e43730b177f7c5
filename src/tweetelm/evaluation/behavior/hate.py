"""The behavioral suite of `hate`: hateful, harmless, and hateful in another spelling."""

import random
from collections.abc import Callable

from tweetelm.evaluation.behavior.cases import Functionality, about, spelled
from tweetelm.evaluation.behavior.groups import GROUPS
from tweetelm.evaluation.behavior.harmless import harmless
from tweetelm.evaluation.behavior.hateful import hateful
from tweetelm.evaluation.robustness.attacks import disguise

_BLUNT = """
{Them} are vermin, throw all of them out
I hate {them}, they are disgusting and stupid
"""
_CAUGHT_IN = about(_BLUNT, GROUPS)


def hate_suite() -> tuple[Functionality, ...]:
    """Every functionality, the same cases at every call."""
    return (*hateful(), *harmless(), *_misspelled())


def _misspelled() -> tuple[Functionality, ...]:
    """Two blunt sentences about each group, misspelled on purpose or by mistake."""
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
    return tuple(
        Functionality(
            name=f"spelling: {name}",
            claim="reads hate in this spelling",
            expected="hate",
            cases=spelled(_CAUGHT_IN, spell),
        )
        for name, spell in spellings
    )


def _swap_letters(text: str) -> str:
    """Two neighbouring letters inside every word of four or more change places."""
    rng = random.Random(text)
    return " ".join(
        _swap(word, rng.randrange(1, len(word) - 2)) if len(word) > 3 else word for word in text.split()
    )


def _swap(word: str, place: int) -> str:
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
