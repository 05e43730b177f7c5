"""The behavioural suite of `deepfake`: changes that say nothing about who wrote a tweet."""

import html
import re
from collections.abc import Callable, Sequence

from tweetelm.evaluation.behavior.cases import Functionality, changed

_SENTENCES = """
I don't think I've ever been this tired in my life
It's raining all day, so soup it is
I can't believe the train is late again, third time this week
Don't forget that the library is closed on Monday
my cat's learnt to open the fridge, send help
We're hiring two engineers, write to me for details
I'm looking for a dentist in the old town, any ideas?
Isn't it strange that somebody left a piano on the beach
I didn't lose my wallet, it was in the fridge
They said it couldn't be done and it wasn't done
The future of work is about people, and people don't know it
I'm trying to learn the drums. My neighbours are trying to move.
Two hours of queueing for a ticket, and I don't regret a minute
the moon the moon the moon doesn't sleep in the sea
honestly that's the best bread I ever baked
If you know, you know. If you don't, you will.
What's for dinner tonight? I'm thinking of dumplings.
Just finished the book you lent me, it's wonderful
Great meeting with the team today, that's how it should be
Coffee first, then everything else
"""
_SETTINGS = ("{}", "@lena_k {}", "{} https://ex.ample/p7", "{} 😂", "{} & more of it", "RT @weather_now: {}")
_LINK = re.compile(r"https?://\S+")
_MENTION = re.compile(r"@\w+")
_EMOJI = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]")
_WORD = re.compile(r"(?<![\w@/.:&])[a-z]{5,}(?![\w/.:;])")


def _escape(match: re.Match[str]) -> str:
    return f"<U+{ord(match[0]):08X}>"


def _swap_case(text: str) -> str:
    place = next((i for i, c in enumerate(text) if c.isalpha() and text[i - 1 : i] not in ("@", "/")), None)
    return text if place is None else text[:place] + text[place].swapcase() + text[place + 1 :]


def _turn_apostrophes(text: str) -> str:
    return text.translate({0x27: "\u2019", 0x2019: "'"})


def _swap_entities(text: str) -> str:
    return html.unescape(text) if html.unescape(text) != text else html.escape(text, quote=False)


def _mistype(text: str) -> str:
    """The second and third letter of the longest plain word change places."""
    words = sorted(_WORD.finditer(text), key=lambda match: -len(match[0]))
    if not words:
        return text
    place = words[0].start() + 1
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


_CHANGES: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("another link", "a link's address does not matter", lambda t: _LINK.sub("https://t.co/Zx81Qw", t)),
    ("another name", "a mentioned name does not matter", lambda t: _MENTION.sub("@somebody_else", t)),
    ("escaped emoji", "emoji and its `<U+1F602>` escape are one", lambda t: _EMOJI.sub(_escape, t)),
    ("one emoji more", "a smile at the end does not matter", lambda t: f"{t} 🙂"),
    ("case of one letter", "the first letter's case does not matter", _swap_case),
    ("space at the end", "a trailing space does not matter", lambda t: f"{t} "),
    ("double space", "space between words does not matter", lambda t: t.replace(" ", "  ", 1)),
    ("full stop", "a full stop at the end does not matter", lambda t: t[:-1] if t[-1:] == "." else f"{t}."),
    ("curly apostrophe", "kinds of apostrophe are one", _turn_apostrophes),
    ("entity", "a character and its HTML entity are one", _swap_entities),
    (
        "contraction",
        "don't and do not are one",
        lambda t: t.replace("don't", "do not").replace("I'm", "I am"),
    ),
    ("one typo", "two letters that change places do not matter", _mistype),
    ("hashtag", "a neutral hashtag at the end does not matter", lambda t: f"{t} #today"),
)


def deepfake_suite(tweets: Sequence[str] = ()) -> tuple[Functionality, ...]:
    """One functionality per change that alters any of the tweets, or of our sentences if there are none."""
    texts = tweets or [
        setting.format(line) for line in _SENTENCES.strip().splitlines() for setting in _SETTINGS
    ]
    return tuple(
        Functionality(name=name, claim=claim, expected=None, cases=cases)
        for name, claim, change in _CHANGES
        if (cases := changed(texts, change))
    )
