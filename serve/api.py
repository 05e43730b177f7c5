"""The FastAPI application over an engine. It knows nothing of Ray: `uvicorn` can serve it too."""

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

import tweetelm
from serve import errors
from serve.engine import Engine, Limits
from serve.gate import Gate
from serve.routes import classify, operations, page, words
from serve.schemas import ErrorResponse

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse} for status in (400, 404, 413, 500, 503, 504)
}


def create_api(engine: Engine, *, limits: Limits | None = None, answer_request_id: bool = True) -> FastAPI:
    """Every route over `engine`.

    Args:
        engine: Holds the models and runs them.
        limits: What one request may ask for.
        answer_request_id: Write X-Request-Id; not behind Ray Serve, whose proxy writes it itself.
    """
    limits = limits or Limits()
    api = FastAPI(title="tweetelm", version=tweetelm.__version__, redoc_url=None)
    api.state.engine, api.state.limits = engine, limits
    api.include_router(classify.router, responses=_ERRORS)
    api.include_router(words.router, responses=_ERRORS)
    api.include_router(operations.router)
    api.include_router(page.router)
    api.add_exception_handler(HTTPException, errors.on_http_error)
    api.add_exception_handler(RequestValidationError, errors.on_invalid_request)
    api.add_middleware(Gate, body_bytes=limits.body_bytes, answer_request_id=answer_request_id)
    _describe(api)
    return api


def _describe(api: FastAPI) -> None:
    """Takes FastAPI's 422 out of the description: what it stands for is answered with 400 here."""
    for path in api.openapi()["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
