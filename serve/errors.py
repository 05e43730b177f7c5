"""Every answer that is not a success: one table, one shape, and never a word of the caller's input."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

STATUS = {
    "invalid_json": 400,
    "invalid_type": 400,
    "empty_input": 400,
    "too_many_inputs": 400,
    "not_found": 404,
    "model_not_found": 404,
    "method_not_allowed": 405,
    "body_too_large": 413,
    "internal": 500,
    "unhealthy": 503,
    "deadline_exceeded": 504,
}
_RETRY_AFTER_S = {"unhealthy": "5", "deadline_exceeded": "1"}
_FROM_STATUS = {400: "invalid_json", 404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
_MESSAGES = {
    "invalid_json": "the body is not valid JSON in UTF-8",
    "not_found": "there is nothing at this path; GET /docs lists what there is",
    "method_not_allowed": "this path does not take this method; the Allow header names those it takes",
    "body_too_large": "the body is too large; GET /info names the limit",
    "internal": "the server failed on this request; its log has the reason under this answer's X-Request-Id",
}
# Pydantic's own sentences for these types say what was expected and nothing of what came.
_SAFE = frozenset({"string_type", "list_type", "literal_error", "missing"})


class ApiError(HTTPException):
    """An error of the table. `message` is for the caller and must hold nothing that came from the caller."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        retry = _RETRY_AFTER_S.get(code)
        super().__init__(STATUS[code], detail=message, headers={"Retry-After": retry} if retry else None)
        self.code = code
        self.param = param


def answer(
    code: str,
    message: str | None = None,
    *,
    param: str | None = None,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """`code` in the shape that OpenAI and vLLM clients read."""
    status = status or STATUS[code]
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": message or _MESSAGES[code], "type": kind, "param": param, "code": code}
    return JSONResponse({"error": error}, status, headers=headers)


async def on_http_error(_: Request, error: Exception) -> JSONResponse:
    """Ours as they are; the framework's own by their status, with our words."""
    assert isinstance(error, HTTPException)
    if isinstance(error, ApiError):
        return answer(error.code, error.detail, param=error.param, headers=error.headers)
    code = _FROM_STATUS.get(error.status_code, "internal" if error.status_code >= 500 else "invalid_type")
    message = _MESSAGES.get(code, "the request cannot be answered")
    return answer(code, message, status=error.status_code, headers=error.headers)


async def on_invalid_request(_: Request, error: Exception) -> JSONResponse:
    """What pydantic found, by the place in the body and the expected type."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        return answer("invalid_json")
    depth = max(len(item["loc"]) for item in found)
    deepest = [item for item in found if len(item["loc"]) == depth]
    param = _param(deepest[0]["loc"])
    return answer("invalid_type", f"{param or 'the body'}: {_expected(deepest)}", param=param)


def _param(loc: Sequence[Any]) -> str | None:
    """`input[2]` from ("body", "input", "list[str]", 2): the branch of a union is not part of the address."""
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
