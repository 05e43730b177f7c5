"""`POST /v1/words`: leave-one-out attribution, which classifies the tweet again without each of its words.

It needs forward passes only. On a CPU the served weights are prepacked for oneDNN and have no gradients.
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
"""Maximum measured words: each needs a forward pass."""
CHARACTERS = 4000
"""Maximum characters of the text, which is tokenized up to 65 times."""
LEAST = 1e-6
"""Probabilities are clipped to [LEAST, 1 - LEAST], so that log-odds are finite."""
_WORD = re.compile(r"\S+")

router = json_router("classify")


@router.post("/v1/words")
async def words(body: WordsRequest, ask: Asking) -> WordsResponse:
    """Measure how much each word of a tweet changes the log-odds of the last label."""
    (text,) = ask.texts(body.input)
    if len(text) > CHARACTERS:
        message = f"input has {len(text)} characters; expected at most {CHARACTERS}"
        raise ApiError("input_too_long", message, "input")
    name, model = ask.model(body.model)
    spans = [match.span() for match in _WORD.finditer(text)]
    shorter = [_without(text, spans, index) for index in range(min(len(spans), WORDS))]
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
        words=_pushes(text, spans, whole, without),
        measured=len(without),
        words_total=len(spans),
    )


def _without(text: str, spans: Sequence[tuple[int, int]], index: int) -> str:
    """Return the text without one word and the white space after it, or before it for the last word. Double
    spaces would themselves change the prediction of a model of raw text."""
    start, end = spans[index]
    if len(spans) == 1:
        return ""
    if index + 1 < len(spans):
        return text[:start] + text[spans[index + 1][0] :]
    return text[: spans[index - 1][1]] + text[end:]


def _pushes(
    text: str, spans: Sequence[tuple[int, int]], whole: "Prediction", without: "Sequence[Prediction]"
) -> list[Word]:
    return [
        Word(text=text[start:end], start=start, end=end, push=_log_odds(whole) - _log_odds(shorter))
        for (start, end), shorter in zip(spans, without, strict=False)
    ]


def _log_odds(prediction: "Prediction") -> float:
    """Return the log-odds of the positive label."""
    positive = min(max(prediction.probabilities[-1], LEAST), 1 - LEAST)
    return math.log(positive / (1 - positive))
