"""Refuses what is too much, and answers probes, before Ray Serve does anything for a request.

Behind HAProxy a replica is its own HTTP server, and what Ray does there for a request costs more than a
refusal or the answer to a probe. `production.env` names `middlewares` in
RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH, and Ray puts them around its own.
"""

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.gate import ALWAYS, Gate
from serve.middleware import http_limits


class Front:
    """ASGI middleware that asks the gate of this process, if there is one: Ray's own proxies have none. GET
    /health and /ready go straight to the API.

    It counts for itself whom it has let in: the gate does not know those that Ray Serve is still busy with.
    """

    gate: Gate | None = None
    api: ASGIApp | None = None
    inside = 0

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if Front.gate is None or scope["type"] != "http" or scope["method"] != "POST":
            app = Front.api if Front.api and scope.get("path") in ALWAYS else self.app
            return await app(scope, receive, send)
        if Front.gate.is_too_much(Front.inside + 1):
            return await Front.gate.turn_away(scope, receive, send)
        Front.inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            Front.inside -= 1


def middlewares() -> list[Middleware]:
    """For Ray Serve, which calls this in each of its processes before it starts an HTTP server there."""
    http_limits.install()
    return [Middleware(Front)]
