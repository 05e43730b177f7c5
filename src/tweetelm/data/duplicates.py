"""When two tweets are the same: identical, the same when normalized, or of the same words."""

import re
from collections.abc import Callable

from tweetelm.text.normalize import normalize

_MASKS = re.compile(r"@user|\bhttp\b")
_RETWEET = re.compile(r"^\s*rt\b", re.IGNORECASE)
_NO_WORD = re.compile(r"\W+")

SAMENESS: dict[str, Callable[[str], str]] = {
    "identical": lambda text: text,
    "same when normalized": normalize,
    "same words": lambda text: words(text),
}


def words(text: str) -> str:
    """The words of a text, without case, punctuation, links and mentions."""
    return _NO_WORD.sub(" ", _MASKS.sub("", normalize(text)).casefold()).strip()


def near_duplicate_key(text: str) -> str:
    """Equal for tweets of the same words and for retweets; "" for a tweet without words."""
    return words(_RETWEET.sub("", text))
