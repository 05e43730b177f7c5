"""Refuses what is too much, and answers probes, before Ray Serve does anything for a request.

Behind HAProxy a replica is its own HTTP server, and what Ray does there for a request costs more than a
refusal or the answer to a probe. `production.env` names `middlewares` in
RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH, and Ray puts them around its own.
"""

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.middleware import http_limits
from serve.middleware.gateway import ALWAYS, Gateway
from serve.middleware.probe_cache import CachedProbe


class LoadShedding:
    """ASGI middleware in every process that runs an HTTP server of Ray Serve.

    It answers GET /health and /ready from what was answered in the last second. In a replica it also asks the
    gate whether a request is too much; Ray's own proxies have no gate. It counts for itself whom it has let
    in: the gate does not know those that Ray Serve is still busy with.
    """

    gateway: Gateway | None = None
    api: ASGIApp | None = None
    in_flight = 0

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._kept: dict[tuple[str, str], CachedProbe] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["method"] in ("GET", "HEAD") and scope["path"] in ALWAYS:
            kept = self._kept.setdefault((scope["method"], scope["path"]), CachedProbe())
            await kept.answer(LoadShedding.api or self.app, scope, receive, send)
        elif LoadShedding.gateway is None or scope["method"] != "POST":
            await self.app(scope, receive, send)
        elif LoadShedding.gateway.is_overloaded(LoadShedding.in_flight + 1):
            await LoadShedding.gateway.reject(scope, receive, send)
        else:
            await self._let_in(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        LoadShedding.in_flight += 1
        try:
            await self.app(scope, receive, send)
        finally:
            LoadShedding.in_flight -= 1


def middlewares() -> list[Middleware]:
    """For Ray Serve, which calls this in each of its processes before it starts an HTTP server there."""
    http_limits.install()
    return [Middleware(LoadShedding)]
