"""Operational routes: health, readiness, metrics, models and the OpenAPI description."""

import asyncio
import dataclasses
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

import tweetelm
from serve.middleware.errors import ApiError
from serve.routes.deps import Asking
from serve.routes.schemas import ErrorResponse
from tweetelm.registry import Card

if TYPE_CHECKING:
    from tweetelm.predictor import Predictor

router = APIRouter(tags=["operations"])


@router.get("/health")
async def health() -> dict[str, str]:
    """Answer while the process runs. `/ready` tells whether it can classify."""
    return {"status": "ok"}


@router.get("/ready", responses={503: {"model": ErrorResponse}})
async def ready(ask: Asking) -> dict[str, Any]:
    """Check within a second that every model answers; 503 if one does not. A busy model is judged by its last
    batch, an idle one by a fixed text."""
    models = ask.engine.models
    if not models:
        raise ApiError("unhealthy", "no model is loaded yet")
    for name, model in models.items():
        if not await ask.engine.readiness.works(model):
            raise ApiError("unhealthy", f"the {name} model does not answer")
    return {"status": "ready", "models": {name: model.version for name, model in models.items()}}


@router.get("/metrics", response_class=Response)
async def metrics(ask: Asking) -> Response:
    """Metrics of this replica for Prometheus; Ray's metrics endpoint has those of all replicas."""
    return Response(ask.meters.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/info")
async def info(ask: Asking) -> dict[str, Any]:
    """The served models with their origin and limitations, and the limits of a request."""
    return {
        "name": "tweetelm",
        "version": tweetelm.__version__,
        "models": {name: _about(model) for name, model in ask.engine.models.items()},
        "limits": dataclasses.asdict(ask.limits),
        "limits_are_for": "one replica",
        "keys_needed": ask.policy.keys.needed,
        "keys_unreadable": bool(ask.policy.keys.fault),
        "answers": ask.engine.answers.about(),
        "reload_error": ask.engine.reload_error,
    }


@router.get("/v1/models")
async def models(ask: Asking) -> dict[str, Any]:
    """The model names; the first one answers requests without a model."""
    return {"object": "list", "data": [_listed(name, model) for name, model in ask.engine.models.items()]}


@router.get("/v1/models/{model}", responses={404: {"model": ErrorResponse}})
async def one_model(model: str, ask: Asking) -> dict[str, Any]:
    """One model."""
    return _listed(*ask.model(model))


@router.get("/openapi.json", include_in_schema=False)
@router.get("/v1/openapi", include_in_schema=False)
async def description(request: Request) -> Response:
    """The OpenAPI description. It is generated once, in a thread, because this route needs no key."""
    state = request.app.state
    if not state.description:
        state.description = await asyncio.to_thread(_describe, request.app)
    return Response(state.description, media_type="application/json")


def _describe(api: FastAPI) -> bytes:
    """Generate OpenAPI without FastAPI's 422: validation errors are 400 here, or 422 in another format."""
    description = api.openapi()
    description["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    description["security"] = [{"key": []}, {}]
    for path in description["paths"].values():
        for operation in path.values():
            found = operation["responses"].get("422", {})
            if "HTTPValidationError" in str(found):
                del operation["responses"]["422"]
    return json.dumps(description).encode()


def _listed(name: str, model: "Predictor") -> dict[str, Any]:
    listed = {"id": name, "object": "model", "created": _created(model), "owned_by": "tweetelm"}
    return listed | {"version": model.version, "labels": model.labels}


def _created(model: "Predictor") -> int:
    """Return the creation time of a version in Unix seconds; 0 for an unpublished checkpoint."""
    made = (model.card or {}).get("created")
    return int(datetime.fromisoformat(made).timestamp()) if made else 0


def _about(model: "Predictor") -> dict[str, Any]:
    card = Card.from_json(json.dumps(model.card)) if model.card else None
    return {
        "question": model.task.question,
        "labels": model.labels,
        "version": model.version,
        "threshold": model.threshold,
        "device": model.device,
        "precision": model.precision,
        "max_tokens": model.max_tokens,
        "base": card.base["name"] if card else None,
        "weights": card.base["init"] if card else None,
        "data_md5": card.data["md5"] if card else None,
        "notices": card.notices if card else [],
        "limits": model.task.limits,
        "licence": model.task.license,
        "license": model.task.license,
    }
