"""`POST /` and `POST /models/{task}` in the format of Hugging Face's inference API: a list of labels per
input."""

from typing import Literal

from fastapi import Response
from pydantic import BaseModel, Field

from serve.routes.deps import Asking, RequestContext
from serve.routes.json_body import json_router
from serve.routes.label_scores import Score, describe, scores
from serve.routes.schemas import Strict, Texts

router = json_router("hugging face")


class Parameters(Strict):
    function_to_apply: Literal["softmax"] | None = Field(
        None, description="Only softmax: probabilities are calibrated."
    )
    return_all_scores: Literal[True] | None = Field(
        None, description="Only true: all labels are returned unless top_k is set."
    )
    truncation: Literal[True] | None = Field(None, description="Only true: long tweets are truncated.")
    top_k: int | None = Field(None, ge=1, description="Number of labels, most probable first. Default: all.")


class Options(BaseModel):
    """Options of the old inference API; they are accepted and ignored."""

    use_cache: bool | None = None
    wait_for_model: bool | None = None


class InferenceRequest(Strict):
    inputs: str | Texts = Field(description="One tweet, or a list of tweets.")
    parameters: Parameters | None = None
    options: Options | None = None


@router.post("/")
async def first(body: InferenceRequest, ask: Asking, response: Response) -> list[list[Score]]:
    """Classify with the first model."""
    return await _infer(body, ask, response, None)


@router.post("/models/{task}")
async def named(task: str, body: InferenceRequest, ask: Asking, response: Response) -> list[list[Score]]:
    """Classify with the named model."""
    return await _infer(body, ask, response, task)


async def _infer(
    body: InferenceRequest, ask: RequestContext, response: Response, task: str | None
) -> list[list[Score]]:
    name, model = ask.model(task, "task")
    texts = ask.texts(body.inputs, "inputs")
    ask.reserve(len(texts))
    predictions = await ask.classify(name, model, texts)
    describe(response, model, predictions)
    top_k = body.parameters.top_k if body.parameters else None
    return [scores(model, prediction)[:top_k] for prediction in predictions]
