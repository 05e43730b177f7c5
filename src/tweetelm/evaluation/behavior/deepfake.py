"""The behavioral suite of `deepfake`: changes that are unrelated to the author of a tweet."""

import html
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from tweetelm.evaluation.behavior.cases import Functionality, changed

_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_LINK = re.compile(r"https?://\S+")
_MENTION = re.compile(r"@\w+")
_EMOJI = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]")
_WORD = re.compile(r"(?<![\w@/.:&])[a-z]{5,}(?![\w/.:;])")


def _escape(match: re.Match[str]) -> str:
    return f"<U+{ord(match[0]):08X}>"


def _swap_case(text: str) -> str:
    at = next((i for i, c in enumerate(text) if c.isalpha() and text[i - 1 : i] not in ("@", "/")), None)
    return text if at is None else text[:at] + text[at].swapcase() + text[at + 1 :]


def _turn_apostrophes(text: str) -> str:
    return text.translate({0x27: "\u2019", 0x2019: "'"})


def _swap_entities(text: str) -> str:
    return html.unescape(text) if html.unescape(text) != text else html.escape(text, quote=False)


def _mistype(text: str) -> str:
    """Swap the second and third letter of the longest plain word."""
    words = sorted(_WORD.finditer(text), key=lambda match: -len(match[0]))
    if not words:
        return text
    at = words[0].start() + 1
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


_CHANGES: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("another link", "a link's address does not matter", lambda t: _LINK.sub("https://t.co/Zx81Qw", t)),
    ("another name", "a mentioned name does not matter", lambda t: _MENTION.sub("@somebody_else", t)),
    ("escaped emoji", "an emoji and its `<U+1F602>` escape are equivalent", lambda t: _EMOJI.sub(_escape, t)),
    ("one emoji more", "an emoji at the end does not matter", lambda t: f"{t} 🙂"),
    ("case of one letter", "the first letter's case does not matter", _swap_case),
    ("space at the end", "a trailing space does not matter", lambda t: f"{t} "),
    ("double space", "an additional space between words does not matter", lambda t: t.replace(" ", "  ", 1)),
    ("full stop", "a full stop at the end does not matter", lambda t: t[:-1] if t[-1:] == "." else f"{t}."),
    ("curly apostrophe", "straight and curly apostrophes are equivalent", _turn_apostrophes),
    ("entity", "a character and its HTML entity are equivalent", _swap_entities),
    (
        "contraction",
        "a contraction and its full form are equivalent",
        lambda t: t.replace("don't", "do not").replace("I'm", "I am"),
    ),
    ("one typo", "two swapped letters do not matter", _mistype),
    ("hashtag", "a neutral hashtag at the end does not matter", lambda t: f"{t} #today"),
)


def deepfake_suite(tweets: Sequence[str] = ()) -> tuple[Functionality, ...]:
    """One functionality per change that alters any of the tweets; without tweets, of built-in sentences."""
    texts = tweets or [
        setting.format(sentence) for sentence in _DATA["sentences"] for setting in _DATA["settings"]
    ]
    return tuple(
        Functionality(name=name, claim=claim, expected=None, cases=cases)
        for name, claim, change in _CHANGES
        if (cases := changed(texts, change))
    )
