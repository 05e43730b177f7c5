"""Routes that parse their body with `bounded_json`."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from serve.middleware.errors import ApiError
from serve.routes.bounded_json import TooManyValuesError, loads


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
