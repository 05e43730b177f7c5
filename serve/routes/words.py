"""`POST /v1/words`: leave-one-out attribution, which classifies the tweet again without each of its words.

It needs forward passes only. On a CPU the served layers are fused and have no gradients.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from serve.middleware.errors import ApiError
from serve.routes.deps import Asking
from serve.routes.json_body import json_router
from serve.routes.schemas import Strict
from tweetelm.prediction.explanation import WORDS, log_odds, without_word, word_spans


class WordsRequest(Strict):
    model: str | None = Field(
        None, description="A name from GET /v1/models. Default: the first one listed there."
    )
    input: str = Field(description="One tweet.")


class Word(BaseModel):
    text: str
    start: int = Field(description="Index of its first character in the input, in Unicode code points.")
    end: int = Field(description="Index after its last character.")
    push: float = Field(description="Log-odds of `toward` with the word, minus those without it.")


class WordsResponse(BaseModel):
    model: str
    version: str = Field(description="Published version of the model.")
    label: str = Field(description="Predicted label of the whole tweet, as in /v1/classify.")
    toward: str = Field(
        description="The label that a push counts toward: of two, the last; of more, the predicted one."
    )
    probs: list[float] = Field(description="Calibrated probabilities of the whole tweet.")
    threshold: float | None = Field(
        description="Predicts the last label at or above this probability; null: most probable."
    )
    truncated: bool = Field(
        description="Whether the tweet exceeded the model's maximum length and was truncated."
    )
    words: list[Word] = Field(description="The measured words, in the order of the tweet.")
    measured: int = Field(description="Number of measured words.")
    words_total: int = Field(description="Words in the tweet; larger than `measured` for a long tweet.")


if TYPE_CHECKING:
    from tweetelm.predictor import Prediction

CHARACTERS = 4000
"""Maximum characters of the text, which is tokenized up to 65 times."""

router = json_router("classify")


@router.post("/v1/words")
async def words(body: WordsRequest, ask: Asking) -> WordsResponse:
    """Measure how much each word of a tweet changes the log-odds of a label: of two, the last; of more, the
    predicted one."""
    (text,) = ask.texts(body.input)
    if len(text) > CHARACTERS:
        message = f"input has {len(text)} characters; expected at most {CHARACTERS}"
        raise ApiError("input_too_long", message, "input")
    name, model = ask.model(body.model)
    spans = word_spans(text)
    shorter = [without_word(text, spans, index) for index in range(min(len(spans), WORDS))]
    ask.reserve(1 + len(shorter))
    (whole,) = await ask.classify(name, model, [text], kept=False)
    without = await ask.again(model, shorter)
    toward = len(model.labels) - 1 if model.task.binary else model.labels.index(whole.label)
    return WordsResponse(
        model=name,
        version=model.version,
        label=whole.label,
        toward=model.labels[toward],
        probs=list(whole.probabilities),
        threshold=model.threshold,
        truncated=whole.truncated,
        words=_pushes(text, spans, toward, whole, without),
        measured=len(without),
        words_total=len(spans),
    )


def _pushes(
    text: str,
    spans: Sequence[tuple[int, int]],
    toward: int,
    whole: "Prediction",
    without: "Sequence[Prediction]",
) -> list[Word]:
    odds = log_odds(whole.probabilities[toward])
    return [
        Word(
            text=text[start:end],
            start=start,
            end=end,
            push=odds - log_odds(shorter.probabilities[toward]),
        )
        for (start, end), shorter in zip(spans, without, strict=False)
    ]
