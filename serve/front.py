"""Refuses what is too much before Ray Serve does anything for a request.

Behind HAProxy a replica is its own HTTP server, and what Ray does there for a request that the gate then
refuses costs more than the refusal does. `production.env` names `middlewares` in
RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH, and Ray puts them around its own.
"""

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.gate import Gate


class Front:
    """ASGI middleware that asks the gate of this process, if there is one: Ray's own proxies have none."""

    gate: Gate | None = None

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if Front.gate is not None and Front.gate.is_full(scope):
            return await Front.gate.turn_away(scope, receive, send)
        await self.app(scope, receive, send)


def middlewares() -> list[Middleware]:
    """For Ray Serve."""
    return [Middleware(Front)]
