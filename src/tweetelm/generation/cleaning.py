"""From a generator's answer to a tweet: removes what is around it, recognizes refusals and echoes."""

import re

from tweetelm.generation.request import Request
from tweetelm.text.normalize import normalize

_CHAT_TOKEN = re.compile(r"<\|[^|<>]{1,40}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>")
_THOUGHT = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL)  # of reasoning models
_ROLE = re.compile(r"^\s*(?:assistant|model|ai|bot)\s*:?\s*\n|^\s*(?:assistant|ai)\s*:\s*", re.IGNORECASE)
_LEAD_IN = re.compile(
    r"^\s*(?:(?:sure|certainly|of course|okay|ok|absolutely)\b[^\n:]{0,60}[:!.]\s*)?"
    r"(?:(?:here(?:'s| is| are)|this is|my|the|a|new|your)\b[^\n:]{0,60})?"
    r"\b(?:tweets?|reply|response|answer|version|paraphrase)\b[^\n:]{0,60}:\s+",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^[-•–]\s+")
_QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "«": "»", "`": "`", "*": "*"}
_TWICE = '"“«'  # may be around two parts of a text
_NO_SPACE_BEFORE = tuple(",.;:!?…)'’")
_REFUSAL = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b"
    r"|\bi(?:'m| am) (?:an ai|a language model)\b"
    r"|\bi(?:'m| am) (?:sorry|unable|not able)\b[^.!?]{0,40}"
    r"\b(?:can(?:'t|not)|unable|assist|help|fulfil|provide)"
    r"|\bi can(?:'t|not) (?:assist|help|fulfil|provide|comply|create|write|generate)"
    r"|\bi do(?:n't| not) have (?:personal|feelings|opinions|the ability)",
    re.IGNORECASE,
)
_INSTRUCTION = re.compile(
    r"\b(?:tweets by one person|write (?:a|one|new)[^.\n]{0,20} tweet|reply to this tweet"
    r"|in your own words, as a tweet|(?:a|new|one) tweet (?:that begins with|about)\b"
    r"|reply with the text of|at most 280 characters)",
    re.IGNORECASE,
)
_ECHO_WORDS = 8  # so many words of the prompt in a row are an echo


def clean(answer: str, request: Request, *, finished: bool = True) -> tuple[str, str]:
    """The tweet in an answer, and why it is unusable.

    Args:
        answer: the text as the generator wrote it.
        request: what was asked.
        finished: False if the answer was cut off at the maximum number of tokens.

    Returns:
        The tweet, normalized, and the reason: empty, or one of `empty`, `refusal`, `echo of the prompt`,
        `cut off`.
    """
    text = next((part for part in _CHAT_TOKEN.split(_THOUGHT.sub("", answer)) if part.strip()), "")
    text = _LEAD_IN.sub("", _ROLE.sub("", text), count=1).strip()
    first = text.split("\n\n")[0]  # what follows an empty line is comment or another tweet
    tweet = normalize(_begun(_unquoted(_BULLET.sub("", first)), request.begin))
    if not tweet or tweet == request.begin:
        return tweet, "empty"
    if _REFUSAL.search(tweet):
        return tweet, "refusal"
    if _INSTRUCTION.search(tweet) or _shares_words(tweet, request):
        return tweet, "echo of the prompt"
    whole = finished or first != text
    return tweet, "" if whole and not tweet.endswith((":", ",")) else "cut off"


def _unquoted(text: str) -> str:
    """The text without marks around it; `"hello" he said "bye"` has none around it."""
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        inside = text[1:-1]
        if text[0] in _TWICE and text[0] in inside:
            return text
        text = inside.strip()
    return text


def _begun(text: str, begin: str) -> str:
    """The text with its beginning, which a generator may repeat or not."""
    if not begin or text.casefold().startswith(begin.casefold()):
        return text
    return f"{begin}{'' if text[:1] in _NO_SPACE_BEFORE else ' '}{text}"


def _shares_words(tweet: str, request: Request) -> bool:
    """Whether eight words in a row stand in the prompt too, beyond the beginning that was given."""
    shown = _runs(request.user.removesuffix(request.begin) if request.begin else request.user)
    return not shown.isdisjoint(_runs(tweet))


def _runs(text: str) -> set[str]:
    tokens = re.findall(r"\w+", text.casefold())
    return {" ".join(tokens[at : at + _ECHO_WORDS]) for at in range(len(tokens) - _ECHO_WORDS + 1)}
