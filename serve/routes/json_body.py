"""Routes that parse their body with `bounded_json`."""

import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from serve.limits import MOST_INPUTS
from serve.middleware.errors import ApiError

MOST_PIECES = 8 * MOST_INPUTS
"""Maximum strings, brackets and commas; enough for the longest list in the most verbose protocol."""
# An unterminated string counts as one piece, so that the search does not restart inside it (quadratic time).
_PIECE = re.compile(rb'"(?:[^"\\]++|\\.|\\\Z)*+(?:"|\Z)|[\[{,]', re.DOTALL)


class TooManyValuesError(ValueError):
    """The JSON text has more values than any valid request."""


def loads(text: bytes) -> Any:
    """Parse a JSON text in UTF-8.

    Raises:
        TooManyValuesError: it has more than `MOST_PIECES` strings, brackets and commas.
        ValueError: it is not valid JSON.
        RecursionError: it is nested too deeply.
    """
    if any(index >= MOST_PIECES for index, _ in enumerate(_PIECE.finditer(text))):
        raise TooManyValuesError(f"more than {MOST_PIECES} strings, lists and fields")
    return json.loads(text)


class _JsonRequest(Request):
    async def json(self) -> Any:
        try:
            return loads(await self.body())
        except TooManyValuesError as error:
            raise ApiError("too_many_inputs", f"the body has {error}") from None


class _JsonRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            return await handle(_JsonRequest(request.scope, request.receive))

        return handle_json


def json_router(tag: str) -> APIRouter:
    """Return a router whose routes parse bounded JSON, with an OpenAPI tag."""
    return APIRouter(tags=[tag], route_class=_JsonRoute)
