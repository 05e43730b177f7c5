"""For whoever runs the service: is it alive, can it answer, what does it serve."""

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

import tweetelm
from serve.errors import ApiError
from serve.gate import log_failure
from serve.routes.ask import EngineOf, LimitsOf, run
from serve.schemas import ErrorResponse
from tweetelm.registry import Card

if TYPE_CHECKING:
    from tweetelm.predictor import Predictor

PROBE = "a tweet of fixed words asks whether the model answers"

router = APIRouter(tags=["operations"])


@router.get("/health")
async def health() -> dict[str, str]:
    """The process is up. `/ready` says whether it can classify."""
    return {"status": "ok"}


@router.get("/ready", responses={503: {"model": ErrorResponse}})
async def ready(engine: EngineOf, limits: LimitsOf) -> dict[str, Any]:
    """Runs every model on a fixed text, by the way that requests take; 503 if one fails."""
    models = engine.models
    if not models:
        raise ApiError("unhealthy", "no model is loaded yet")
    for name, model in models.items():
        try:
            await run(engine, model, [PROBE], limits)
        except Exception as error:
            log_failure(f"/ready of {name}", error)
            raise ApiError("unhealthy", f"the {name} model does not answer") from error
    return {"status": "ready", "models": {name: model.version for name, model in models.items()}}


@router.get("/info")
async def info(engine: EngineOf, limits: LimitsOf) -> dict[str, Any]:
    """The served models, where they come from, what they are not for, and the limits of a request."""
    return {
        "name": "tweetelm",
        "version": tweetelm.__version__,
        "models": {name: _about(model) for name, model in engine.models.items()},
        "limits": dataclasses.asdict(limits),
        "reload_error": engine.reload_error,
    }


@router.get("/v1/models")
async def models(engine: EngineOf) -> dict[str, Any]:
    """The names that a request may use; the first one answers requests that name none."""
    return {"object": "list", "data": [_listed(name, model) for name, model in engine.models.items()]}


def _listed(name: str, model: "Predictor") -> dict[str, Any]:
    listed = {"id": name, "object": "model", "owned_by": "tweetelm"}
    return listed | {"version": model.version, "labels": model.labels}


def _about(model: "Predictor") -> dict[str, Any]:
    card = Card.from_json(json.dumps(model.card)) if model.card else None
    return {
        "question": model.task.question,
        "labels": model.labels,
        "version": model.version,
        "threshold": model.threshold,
        "base": card.base["name"] if card else None,
        "weights": card.base["init"] if card else None,
        "data_md5": card.data["md5"] if card else None,
        "notices": card.notices if card else [],
        "limits": model.task.limits,
        "licence": model.task.licence,
    }
