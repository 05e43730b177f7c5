"""What every protocol's route does with its texts: check them, find the model, run it within the deadline."""

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from serve.engine import Engine, Limits
from serve.errors import ApiError

if TYPE_CHECKING:
    from tweetelm.predictor import Prediction, Predictor


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


def _limits(request: Request) -> Limits:
    limits: Limits = request.app.state.limits
    return limits


_SURROGATE = re.compile("[\ud800-\udfff]")

EngineOf = Annotated[Engine, Depends(_engine)]
LimitsOf = Annotated[Limits, Depends(_limits)]


def texts_of(given: str | Sequence[str], limits: Limits) -> list[str]:
    """`given` as a list of texts, each of whole characters and not empty, and not too many."""
    texts = [given] if isinstance(given, str) else list(given)
    if not texts:
        raise ApiError("empty_input", "input is an empty list; send at least one text", "input")
    if len(texts) > limits.inputs:
        message = f"input has {len(texts)} texts; at most {limits.inputs} are answered at a time"
        raise ApiError("too_many_inputs", message, "input")
    for place, text in enumerate(texts):
        _check(text, "input" if isinstance(given, str) else f"input[{place}]")
    return texts


def _check(text: str, param: str) -> None:
    if not text.strip():
        raise ApiError("empty_input", f"{param} is empty; send some text", param)
    if _SURROGATE.search(text):
        raise ApiError(
            "invalid_type", f"{param} holds half of a surrogate pair; send whole characters", param
        )


def model_of(name: str | None, engine: Engine) -> "tuple[str, Predictor]":
    """The model called `name`, or the first one."""
    models = engine.models
    if not models:
        raise ApiError("unhealthy", "no model is loaded yet")
    name = next(iter(models)) if name is None else name
    if name not in models:
        raise ApiError("model_not_found", f"no such model here; there is {' and '.join(models)}", "model")
    return name, models[name]


async def run(engine: Engine, model: "Predictor", texts: Sequence[str], limits: Limits) -> "list[Prediction]":
    """The predictions, or 504 when they are not there within the deadline."""
    try:
        async with asyncio.timeout(limits.deadline_s):
            return await engine.classify(model, texts)
    except TimeoutError:
        raise ApiError("deadline_exceeded", f"no answer within {limits.deadline_s:g} s; try again") from None
