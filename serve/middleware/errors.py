"""Error responses: one table of codes, in the format of each protocol. Messages never quote the request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from serve.middleware.request_context import record_of

STATUS = {
    "invalid_json": 400,
    "invalid_type": 400,
    "unsupported_input_type": 400,
    "empty_input": 400,
    "too_many_inputs": 400,
    "input_too_long": 400,
    "invalid_api_key": 401,
    "not_found": 404,
    "model_not_found": 404,
    "method_not_allowed": 405,
    "body_too_slow": 408,
    "body_too_large": 413,
    "unsupported_encoding": 415,
    "overloaded": 429,
    "rate_limit_exceeded": 429,
    "internal": 500,
    "unhealthy": 503,
    "deadline_exceeded": 504,
}
_HEADERS = {
    "invalid_api_key": {"WWW-Authenticate": "Bearer"},
    "body_too_slow": {"Connection": "close"},
    "overloaded": {"Retry-After": "1"},
    "unhealthy": {"Retry-After": "5"},
    "deadline_exceeded": {"Retry-After": "1"},
}
_FROM_STATUS = {400: "invalid_json", 404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
_MESSAGES = {
    "invalid_json": "the body is not valid JSON in UTF-8",
    "invalid_api_key": "send a valid API key in the header Authorization: Bearer KEY",
    "not_found": "this path does not exist; GET /docs lists the routes",
    "method_not_allowed": "this path does not support this method; the Allow header lists the supported ones",
    "body_too_slow": "the body did not arrive in time; GET /info shows the limit",
    "body_too_large": "the body is too large; GET /info shows the limit",
    "unsupported_encoding": "compressed bodies are not supported; remove the header Content-Encoding",
    "overloaded": "the service is overloaded; retry after the number of seconds in Retry-After",
    "internal": "internal error; find the reason in the server log under the X-Request-Id of this response",
}
# Pydantic's messages for these types contain the expected type and not the input.
_SAFE = frozenset({"string_type", "list_type", "int_type", "bool_type", "literal_error", "missing"})


class ApiError(HTTPException):
    """An error with a code of `STATUS`. `message` is sent to the client and must not quote the request."""

    def __init__(
        self, code: str, message: str, param: str | None = None, *, retry_after_s: int | None = None
    ) -> None:
        headers = _HEADERS.get(code, {}) | ({"Retry-After": str(retry_after_s)} if retry_after_s else {})
        super().__init__(STATUS[code], detail=message, headers=headers or None)
        self.code = code
        self.param = param


class Wording:
    """The error body and status of OpenAI and vLLM, which the native routes share."""

    statuses: Mapping[str, int] = {}

    def body(self, code: str, message: str, status: int, param: str | None) -> dict[str, Any]:
        kind = "invalid_request_error" if status < 500 else "server_error"
        return {"error": {"message": message, "type": kind, "param": param, "code": code}}


_UNPROCESSABLE = dict.fromkeys(
    ("invalid_json", "invalid_type", "unsupported_input_type", "too_many_inputs", "input_too_long"), 422
)


class HuggingFaceWording(Wording):
    """The error format of Hugging Face's inference API."""

    statuses = _UNPROCESSABLE

    def body(self, code: str, message: str, status: int, param: str | None) -> dict[str, Any]:
        return {"error": message}


class TeiWording(Wording):
    """The error format of text-embeddings-inference as implemented; its OpenAPI description differs."""

    statuses = _UNPROCESSABLE
    _types: Mapping[str, str] = {
        "empty_input": "Empty",
        "overloaded": "Overloaded",
        "rate_limit_exceeded": "Overloaded",
        "internal": "Backend",
        "unhealthy": "Unhealthy",
        "deadline_exceeded": "Unhealthy",
    }

    def body(self, code: str, message: str, status: int, param: str | None) -> dict[str, Any]:
        return {"error": message, "error_type": self._types.get(code, "Validation")}


_OPENAI, _HUGGING_FACE, _TEI = Wording(), HuggingFaceWording(), TeiWording()


def wording_of(path: str) -> Wording:
    """Return the error format of a path."""
    if path == "/predict":
        return _TEI
    return _HUGGING_FACE if path == "/" or path.startswith("/models/") else _OPENAI


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error independent of a protocol's format. `status` overrides the table, for errors of the
    framework."""

    code: str
    message: str | None = None
    param: str | None = None
    status: int | None = None
    headers: Mapping[str, str] | None = None

    def answer(self, scope: Scope) -> JSONResponse:
        """Return the response in the format of the requested path, and record the code for the log."""
        record_of(scope).code = self.code
        wording = wording_of(scope["path"])
        status = self.status or wording.statuses.get(self.code) or STATUS[self.code]
        message = self.message or _MESSAGES.get(self.code, "the request failed")
        headers = self.headers or _HEADERS.get(self.code)
        return JSONResponse(wording.body(self.code, message, status, self.param), status, headers=headers)


def failure_of(error: HTTPException) -> Failure:
    """Convert an exception: an `ApiError` keeps its code, the framework's errors get one by their status."""
    if isinstance(error, ApiError):
        return Failure(code=error.code, message=error.detail, param=error.param, headers=error.headers)
    code = _FROM_STATUS.get(error.status_code, "internal" if error.status_code >= 500 else "invalid_type")
    status = None if code == "invalid_json" else error.status_code
    return Failure(code=code, status=status, headers=error.headers)


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an `HTTPException` in the error format of the route."""
    assert isinstance(error, HTTPException)
    return failure_of(error).answer(request.scope)


async def on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    """Answer a failed validation with the field and the expected type."""
    assert isinstance(error, RequestValidationError)
    return _invalid(error.errors(), _fields(request)).answer(request.scope)


def _fields(request: Request) -> list[str]:
    """Return the names of the fields that this route's body accepts."""
    body = getattr(request.scope.get("route"), "body_field", None)
    return list(getattr(body.field_info.annotation, "model_fields", ())) if body else []


def _invalid(found: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> Failure:
    if any(item["type"] == "json_invalid" for item in found):
        return Failure(code="invalid_json")
    depth = max(len(item["loc"]) for item in found)
    deepest = [item for item in found if len(item["loc"]) == depth]
    param = _param(deepest[0]["loc"])
    if any(item["type"] == "too_long" for item in found):
        message = f"{param} has too many items; GET /info shows the maximum number of texts"
        return Failure(code="too_many_inputs", message=message, param=param)
    if deepest[0]["type"] == "extra_forbidden":
        message = f"the body has an unknown field; expected only {', '.join(fields)}"
        return Failure(code="invalid_type", message=message)
    return Failure(code="invalid_type", message=f"{param or 'the body'}: {_expected(deepest)}", param=param)


def _param(loc: Sequence[Any]) -> str | None:
    """Return `input[2]` for ("body", "input", "list[str]", 2): the branch of a union is left out."""
    if len(loc) < 2 or not isinstance(loc[1], str):
        return None
    return loc[1] + "".join(f"[{part}]" for part in loc[2:] if isinstance(part, int))


def _expected(found: Sequence[Mapping[str, Any]]) -> str:
    types = {item["type"] for item in found}
    if types & {"model_attributes_type", "dict_type"}:
        return "expected a JSON object, sent with the header Content-Type: application/json"
    return (
        " or ".join(dict.fromkeys(item["msg"] for item in found if item["type"] in _SAFE)) or "is not valid"
    )
