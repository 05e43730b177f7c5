"""The FastAPI application over an engine. It does not import Ray, so `uvicorn` can serve it as well."""

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
from serve.routes import classify, classify_file, huggingface, moderations, operations, page, tei, words
from serve.routes.schemas import ErrorResponse

_STATUSES = (400, 401, 404, 408, 413, 415, 429, 500, 503, 504)
_NATIVE_ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": ErrorResponse} for status in _STATUSES}
_FOREIGN_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": dict[str, str]} for status in (*_STATUSES, 422)
}


def create_api(engine: Engine, *, policy: Policy | None = None) -> FastAPI:
    """Build the application with every route over `engine`.

    Args:
        engine: Holds the models and runs the forward passes.
        policy: API keys, limits and CORS origins; by default no keys and the default limits.
    """
    policy = policy or Policy()
    api = FastAPI(
        title="tweetelm", version=tweetelm.__version__, redoc_url=None, docs_url=None, openapi_url=None
    )
    state = api.state
    state.engine, state.policy, state.gateway = engine, policy, Gateway(engine, policy)
    state.description = b""
    state.rates, state.files = RateLimiter(policy.limits.texts_per_minute), Counter[str]()
    for native in (classify, classify_file, words, moderations):
        api.include_router(native.router, responses=_NATIVE_ERRORS)
    for foreign in (huggingface, tei):
        api.include_router(foreign.router, responses=_FOREIGN_ERRORS)
    for untyped in (operations, page):
        api.include_router(untyped.router)
    api.add_exception_handler(HTTPException, errors.on_http_error)
    api.add_exception_handler(RequestValidationError, errors.on_invalid_request)
    api.add_middleware(state.gateway.wrap)
    return api
