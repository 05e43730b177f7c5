"""The FastAPI application over an engine. It knows nothing of Ray: `uvicorn` can serve it too."""

from collections import Counter
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

import tweetelm
from serve.inference.engine import Engine
from serve.middleware import errors
from serve.middleware.gateway import Gateway, Policy
from serve.middleware.rate_limit import RateLimiter
from serve.routes import classify, file, huggingface, moderations, operations, page, tei, words
from serve.routes.schemas import ErrorResponse

_STATUSES = (400, 401, 404, 408, 413, 415, 429, 500, 503, 504)
_OURS: dict[int | str, dict[str, Any]] = {status: {"model": ErrorResponse} for status in _STATUSES}
_OTHERS: dict[int | str, dict[str, Any]] = {status: {"model": dict[str, str]} for status in (*_STATUSES, 422)}


def create_api(engine: Engine, *, policy: Policy | None = None) -> FastAPI:
    """Every route over `engine`.

    Args:
        engine: holds the models and runs them.
        policy: who may ask, and for how much.
    """
    policy = policy or Policy()
    api = FastAPI(
        title="tweetelm", version=tweetelm.__version__, redoc_url=None, docs_url=None, openapi_url=None
    )
    state = api.state
    state.engine, state.policy, state.gateway = engine, policy, Gateway(engine, policy)
    state.description = b""
    state.rates, state.files = RateLimiter(policy.limits.texts_per_minute), Counter[str]()
    for ours in (classify, file, words, moderations):
        api.include_router(ours.router, responses=_OURS)
    for theirs in (huggingface, tei):
        api.include_router(theirs.router, responses=_OTHERS)
    for other in (operations, page):
        api.include_router(other.router)
    api.add_exception_handler(HTTPException, errors.on_http_error)
    api.add_exception_handler(RequestValidationError, errors.on_invalid_request)
    api.add_middleware(state.gateway.wrap)
    return api
