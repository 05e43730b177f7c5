"""Surface cues of tweets: what tells human and machine text apart without reading it."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from tweetelm.text.html_entities import decode
from tweetelm.text.normalize import EMOJI, LINK, MENTION, normalize

Floats = npt.NDArray[np.float64]
_EMOJI = re.compile(EMOJI)
_MASKED_LINK = re.compile(rf"\bhttp\b|{LINK.pattern}", re.IGNORECASE)

COUNTED: dict[str, Callable[[str], float]] = {
    "links": lambda text: len(_MASKED_LINK.findall(text)),
    "mentions": lambda text: len(MENTION.findall(text)),
    "hashtags": lambda text: len(re.findall(r"#\w", text)),
    "emoji": lambda text: len(_EMOJI.findall(text)),
    "line breaks": lambda text: text.strip().count("\n"),
    "upper case": lambda text: _upper_share(text),
    "all lower case": lambda text: text == text.lower(),
    "mention first": lambda text: text.startswith("@"),
    "ends with a period": lambda text: text.endswith(".") and not text.endswith(".."),
    "ends with ! or ?": lambda text: text.endswith(("!", "?")),
    "ellipses": lambda text: len(re.findall(r"…|\.\.+", text)),
    "quotes": lambda text: len(re.findall(r"[\"“”]", text)),
    "ampersands": lambda text: text.count("&"),
    "backslashes": lambda text: text.count("\\"),
    "characters": len,
    "words": lambda text: len(text.split()),
}
"""The cues by name, of a text with masked links and mentions; line breaks are those of the unmasked text."""
NAMES = tuple(COUNTED)
_UNMASKED = ("line breaks",)


def cue_counts(texts: Sequence[str]) -> Floats:
    """The cues (N, C) of N texts. Links and mentions have the length of their masks, as for the model."""
    rows = []
    for text in texts:
        masked = normalize(text)
        whole = decode(text)
        rows.append([float(count(whole if name in _UNMASKED else masked)) for name, count in COUNTED.items()])
    return np.asarray(rows, dtype=np.float64).reshape(-1, len(NAMES))


def _upper_share(text: str) -> float:
    letters = [character for character in re.sub(r"@user|\bhttp\b", "", text) if character.isalpha()]
    return sum(map(str.isupper, letters)) / max(len(letters), 1)


def differences(machine: Floats, human: Floats) -> Floats:
    """The standardized mean difference of each cue (C,): 0 for equal means, 0.1 is commonly called small."""
    spread = np.sqrt((machine.var(axis=0) + human.var(axis=0)) / 2)
    distance = machine.mean(axis=0) - human.mean(axis=0)
    return np.asarray(np.divide(distance, spread, out=np.zeros_like(distance), where=spread > 0))
