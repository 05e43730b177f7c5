"""Which words pushed the verdict: `POST /v1/words` classifies a tweet again without each of its words.

Leaving words out needs forward passes alone. On a CPU the served weights are laid out for the processor and
have no gradients.
"""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from serve.middleware.errors import ApiError
from serve.routes.deps import Asking
from serve.routes.json_body import json_router
from serve.routes.schemas_words import Word, WordsRequest, WordsResponse

if TYPE_CHECKING:
    from tweetelm.predictor import Prediction

WORDS = 64
"""At most so many are measured: each costs a forward pass."""
CHARACTERS = 4000
"""In one text: it is tokenized up to 65 times."""
LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1, so that log-odds stay finite."""
_WORD = re.compile(r"\S+")

router = json_router("classify")


@router.post("/v1/words")
async def words(body: WordsRequest, ask: Asking) -> WordsResponse:
    """How far each word of a tweet pushed the verdict toward the last label."""
    (text,) = ask.texts(body.input)
    if len(text) > CHARACTERS:
        message = f"input has {len(text)} characters; the words of at most {CHARACTERS} are measured"
        raise ApiError("input_too_long", message, "input")
    name, model = ask.model(body.model)
    places = [match.span() for match in _WORD.finditer(text)]
    shorter = [_without(text, places, index) for index in range(min(len(places), WORDS))]
    ask.reserve(1 + len(shorter))
    (whole,) = await ask.classify(name, model, [text])
    without = await ask.again(model, shorter)
    return WordsResponse(
        model=name,
        version=model.version,
        label=whole.label,
        probs=list(whole.probabilities),
        threshold=model.threshold,
        truncated=whole.truncated,
        words=_pushes(text, places, whole, without),
        measured=len(without),
        words_total=len(places),
    )


def _without(text: str, places: Sequence[tuple[int, int]], index: int) -> str:
    """The text without one word and the white space after it, or before it where it is the last: a gap would
    be a change of its own to a model that reads raw text."""
    start, end = places[index]
    if len(places) == 1:
        return ""
    if index + 1 < len(places):
        return text[:start] + text[places[index + 1][0] :]
    return text[: places[index - 1][1]] + text[end:]


def _pushes(
    text: str, places: Sequence[tuple[int, int]], whole: "Prediction", without: "Sequence[Prediction]"
) -> list[Word]:
    return [
        Word(text=text[start:end], start=start, end=end, push=_log_odds(whole) - _log_odds(one))
        for (start, end), one in zip(places, without, strict=False)
    ]


def _log_odds(prediction: "Prediction") -> float:
    """Of the positive label."""
    positive = min(max(prediction.probabilities[-1], LEAST), 1 - LEAST)
    return math.log(positive / (1 - positive))
