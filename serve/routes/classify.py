"""The native route in the format of vLLM and SGLang: `POST /v1/classify`, also at `/classify`."""

import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from serve.inference.batcher import Outcome
from serve.middleware.errors import ApiError
from serve.middleware.gateway import log_failure
from serve.routes.deps import Asking, RequestContext, check
from serve.routes.json_body import json_router
from serve.routes.schemas import (
    Classification,
    ClassifyRequest,
    ClassifyResponse,
    ItemError,
    Unclassified,
    Usage,
)

if TYPE_CHECKING:
    from tweetelm.predictor import Predictor

Checked: TypeAlias = str | ApiError

router = json_router("classify")


@router.post("/v1/classify")
@router.post("/classify", include_in_schema=False)
async def classify(body: ClassifyRequest, ask: Asking) -> ClassifyResponse:
    """Classify one or several tweets. An invalid text fails alone: its item has an `error`."""
    name, model = ask.model(body.model)
    checked = _checked(ask, body.input)
    texts = [text for text in checked if isinstance(text, str)]
    ask.reserve(len(texts))
    outcomes = await ask.outcomes(name, model, texts)
    _raise_if_none_answered(outcomes)
    tokens = sum(outcome.tokens for outcome in outcomes if not isinstance(outcome, Exception))
    return ClassifyResponse(
        id=f"classify-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=name,
        data=_data(model, checked, outcomes),
        usage=Usage(prompt_tokens=tokens, total_tokens=tokens),
    )


def _checked(ask: RequestContext, given: str | Sequence[str]) -> list[Checked]:
    """Return, per text, the text or the error that it causes.

    Raises:
        ApiError: all texts are invalid; the error of the first one.
    """
    checked = [
        _check(text, "input" if isinstance(given, str) else f"input[{index}]")
        for index, text in enumerate(ask.listed(given))
    ]
    if isinstance(checked[0], ApiError) and all(isinstance(item, ApiError) for item in checked):
        raise checked[0]
    return checked


def _check(text: str, param: str) -> Checked:
    try:
        check(text, param)
    except ApiError as error:
        return error
    return text


def _raise_if_none_answered(outcomes: Sequence[Outcome]) -> None:
    if isinstance(outcomes[0], Exception) and all(isinstance(outcome, Exception) for outcome in outcomes):
        raise outcomes[0]


def _data(
    model: "Predictor", checked: Sequence[Checked], outcomes: Sequence[Outcome]
) -> list[Classification | Unclassified]:
    rest = iter(outcomes)
    return [
        _item(model, index, item if isinstance(item, ApiError) else next(rest))
        for index, item in enumerate(checked)
    ]


def _item(model: "Predictor", index: int, outcome: Outcome) -> Classification | Unclassified:
    if isinstance(outcome, ApiError):
        return Unclassified(index=index, error=ItemError(code=outcome.code, message=outcome.detail))
    if isinstance(outcome, Exception):
        log_failure(f"input {index}", outcome)
        return Unclassified(
            index=index, error=ItemError(code="internal", message="the model failed on this text")
        )
    return Classification(
        index=index,
        label=outcome.label,
        probs=list(outcome.probabilities),
        num_classes=len(outcome.probabilities),
        threshold=model.threshold,
        truncated=outcome.truncated,
        version=model.version,
    )
