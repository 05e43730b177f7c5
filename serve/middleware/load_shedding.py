"""Rejects requests under overload, and answers probes, before Ray Serve processes the request.

Behind HAProxy a replica is its own HTTP server, and Ray's work per request costs more than a rejection or a
probe. `production.env` sets RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH to `middlewares`, and Ray runs them
before its own.
"""

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.middleware import header_limits
from serve.middleware.gateway import ALWAYS, Gateway
from serve.middleware.probe_cache import CachedProbe


class LoadShedding:
    """ASGI middleware in every process that runs an HTTP server of Ray Serve.

    It answers GET /health and /ready from a cache of one second. In a replica it also asks the gateway
    whether the replica is overloaded; Ray's proxies have no gateway. It counts the accepted requests itself,
    because the gateway does not see those that Ray Serve is still processing.

    Attributes:
        gateway: The replica's gateway; None in a proxy.
        api: The replica's application; None in a proxy.
        in_flight: POST requests that were accepted and are not finished.
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
            await self._accept(scope, receive, send)

    async def _accept(self, scope: Scope, receive: Receive, send: Send) -> None:
        LoadShedding.in_flight += 1
        try:
            await self.app(scope, receive, send)
        finally:
            LoadShedding.in_flight -= 1


def middlewares() -> list[Middleware]:
    """Return the middleware for Ray Serve, which calls this before it starts an HTTP server in a process."""
    header_limits.install()
    return [Middleware(LoadShedding)]
