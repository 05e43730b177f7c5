"""`POST /predict` in the format of text-embeddings-inference.

One difference: TEI reads a flat list of two texts as a pair. These models take single texts, so it is a
batch.
"""

import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import Response
from pydantic import BeforeValidator, Field

from serve.limits import MOST_INPUTS
from serve.middleware.errors import ApiError
from serve.routes.deps import Asking
from serve.routes.json_body import json_router
from serve.routes.label_scores import Score, describe, scores
from serve.routes.schemas import Strict, Texts

router = json_router("text-embeddings-inference")


def _capitalized(value: Any) -> Any:
    return value.capitalize() if isinstance(value, str) and len(value) < 10 else value


class PredictRequest(Strict):
    inputs: str | Texts | Annotated[list[Texts], Field(max_length=MOST_INPUTS, fail_fast=True)] = Field(
        description='A tweet, a list of tweets, or a list of lists of one tweet: [["a"], ["b"]].'
    )
    truncate: bool | None = Field(
        None, description="false: reject tweets that are too long instead of truncating them."
    )
    truncation_direction: Annotated[Literal["Right"] | None, BeforeValidator(_capitalized)] = Field(
        None, description="Only Right, in any case: the end of a text is cut off."
    )
    raw_scores: Literal[False] | None = Field(None, description="Only false: probabilities are returned.")


@router.post("/predict")
async def predict(
    body: PredictRequest, ask: Asking, response: Response, model: str | None = None
) -> list[Score] | list[list[Score]]:
    """Classify with the model of `?model=`, by default the first one."""
    began = time.perf_counter()
    name, predictor = ask.model(model)
    texts = ask.texts(_texts(body.inputs), "inputs")
    ask.reserve(len(texts))
    predictions = await ask.classify(name, predictor, texts)
    if body.truncate is False and any(prediction.truncated for prediction in predictions):
        raise ApiError("input_too_long", "a text is too long, and truncate is false", "inputs")
    describe(response, predictor, predictions)
    response.headers["X-Compute-Characters"] = str(sum(map(len, texts)))
    response.headers["X-Compute-Tokens"] = str(sum(prediction.tokens for prediction in predictions))
    response.headers["X-Total-Time"] = str(round(1000 * (time.perf_counter() - began)))
    found = [scores(predictor, prediction) for prediction in predictions]
    return found[0] if isinstance(body.inputs, str) else found


def _texts(given: str | list[str] | list[list[str]]) -> str | list[str]:
    if isinstance(given, str):
        return given
    return [item if isinstance(item, str) else _single(item, index) for index, item in enumerate(given)]


def _single(inner: Sequence[str], index: int) -> str:
    if len(inner) != 1:
        message = (
            f"inputs[{index}] has {len(inner)} texts; expected one, because text pairs are not supported"
        )
        raise ApiError("invalid_type", message, f"inputs[{index}]")
    return inner[0]
