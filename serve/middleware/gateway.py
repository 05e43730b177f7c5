"""The outermost middleware: request id, API key, overload, body limits, internal errors, access log,
metrics."""

import asyncio
import logging
import math
import re
import time
import traceback
import uuid
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.inference.engine import Engine
from serve.limits import Limits
from serve.middleware.auth import Keys
from serve.middleware.errors import Failure
from serve.middleware.request_body import RequestBody
from serve.middleware.request_context import RequestRecord, attach, record_of

logger = logging.getLogger("tweetelm.serve")
FILE_PATH = "/v1/classify/file"
_OPEN = frozenset({"/", "/health", "/ready", "/openapi.json", "/v1/openapi"})
_PROBES = frozenset(
    {"/health", "/ready", "/metrics"}
)  # requested every few seconds; logged only if they fail
ALWAYS = frozenset({"/health", "/ready"})  # cheap, and answered under overload too
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_EXPOSED_HEADERS = ["Retry-After", "X-Model", "X-Model-Version", "X-Request-Id", "X-Threshold", "X-Truncated"]
_CLIENT_CLOSED = 499


@dataclass(frozen=True, kw_only=True)
class Policy:
    """API keys, limits, CORS and logging of the API.

    Attributes:
        limits: Limits of one request and one replica.
        keys: Accepted API keys.
        answer_request_id: Set the header X-Request-Id; False behind Ray Serve, which sets it.
        log_texts: Write the texts into the access log.
        cors_origins: Origins whose pages may send requests; by default none.
    """

    limits: Limits = field(default_factory=Limits)
    keys: Keys = field(default_factory=Keys)
    answer_request_id: bool = True
    log_texts: bool = False
    cors_origins: tuple[str, ...] = ()


class Gateway:
    """Checks each request before the routes, and logs it afterwards; `wrap` returns the ASGI middleware."""

    def __init__(self, engine: Engine, policy: Policy) -> None:
        self.engine = engine
        self.policy = policy
        self.meters = engine.meters
        self._in_flight = {"POST": 0, "GET": 0}
        self._keys_unreadable = False
        self._reject_overloaded = self._with_cors(self._answer_overloaded)

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return `app` behind this gateway."""

        async def passed(scope: Scope, receive: Receive, send: Send) -> None:
            await self._pass(app, scope, receive, send)

        handler = self._with_cors(passed)

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            await (
                self._handle(handler, scope, receive, send)
                if scope["type"] == "http"
                else app(scope, receive, send)
            )

        return guarded

    def is_overloaded(self, requests: int) -> bool:
        """Return whether the last of `requests` concurrent POST requests must be rejected."""
        limits = self.policy.limits
        return requests > limits.concurrent or self.engine.wait_s > limits.wait_s

    async def reject(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with 429, and log it."""
        await self._handle(self._reject_overloaded, scope, receive, send)

    def _with_cors(self, app: ASGIApp) -> ASGIApp:
        """Return `app` with CORS headers for the allowed origins, on error responses too."""
        origins = self.policy.cors_origins
        if not origins:
            return app
        methods = ["GET", "HEAD", "POST"]
        return CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=methods,
            allow_headers=["*"],
            expose_headers=_EXPOSED_HEADERS,
        )

    async def _answer_overloaded(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._overloaded().answer(scope)(scope, receive, send)

    async def _handle(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        record = RequestRecord(_request_id(scope, ours=self.policy.answer_request_id))
        attach(scope, record)
        began = time.perf_counter()
        is_head = scope["method"] == "HEAD"
        inner = {**scope, "method": "GET"} if is_head else scope

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                self._add_headers(message, record)
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        try:
            await app(inner, receive, send_named)
        finally:
            route = getattr(inner.get("route"), "path", "other")
            self._record(scope["method"], route, record, time.perf_counter() - began)

    async def _pass(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        record, kind = record_of(scope), _kind(scope)
        self._count(kind, 1)
        try:
            refused = self._refusal(scope, record)
            if refused:
                await refused.answer(scope)(scope, receive, send)
            elif kind == "POST":
                await self._pass_with_body(app, scope, receive, send)
            else:
                await app(scope, receive, send)
        except Exception as error:
            log_failure(f"request {record.request_id}", error)
            if record.status:
                raise
            await Failure(code="internal").answer(scope)(scope, receive, send)
        finally:
            self._count(kind, -1)

    async def _pass_with_body(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        limits, is_file = self.policy.limits, scope["path"] == FILE_PATH
        body = RequestBody(receive, limits, is_file=is_file)

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(limits.send_s):
                await send(message)

        async with body.watched():
            await app(scope, body, send_in_time if is_file else send)

    def _refusal(self, scope: Scope, record: RequestRecord) -> Failure | None:
        """Return the error that is known before the body is read, so that rejecting is cheap under
        overload."""
        headers, limits, kind = Headers(scope=scope), self.policy.limits, _kind(scope)
        if kind == "GET" and self._in_flight[kind] > limits.concurrent_gets:
            return self._overloaded()
        if self.policy.keys.needed:
            name = self.policy.keys.name_of(headers.get("authorization", ""))
            self._report_keys()
            if name is None and not _is_open(scope):
                return Failure(code="invalid_api_key")
            record.key = name or ""
        if kind != "POST":
            return None
        if self.is_overloaded(self._in_flight[kind]):
            return self._overloaded()
        if headers.get("content-encoding", "identity") != "identity":
            return Failure(code="unsupported_encoding")
        max_bytes = limits.file_bytes if scope["path"] == FILE_PATH else limits.body_bytes
        return Failure(code="body_too_large") if _content_length(headers) > max_bytes else None

    def _overloaded(self) -> Failure:
        return Failure(code="overloaded", headers={"Retry-After": str(max(1, math.ceil(self.engine.wait_s)))})

    def _add_headers(self, message: Message, record: RequestRecord) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        if message["status"] == 405 and "GET" in headers.get("allow", "").split(", "):
            headers["allow"] += ", HEAD"
        if self.policy.answer_request_id:
            headers["X-Request-Id"] = record.request_id

    def _report_keys(self) -> None:
        unreadable = bool(self.policy.keys.fault)
        if unreadable != self._keys_unreadable:
            self._keys_unreadable = unreadable
            self.meters.set("tweetelm_keys_unreadable", float(unreadable))

    def _count(self, kind: str, change: int) -> None:
        if kind in self._in_flight:
            self._in_flight[kind] += change
        if kind == "POST":
            self.meters.set("tweetelm_in_flight", self._in_flight[kind])

    def _record(self, method: str, route: str, record: RequestRecord, seconds: float) -> None:
        status = record.status or _CLIENT_CLOSED
        self.meters.add("tweetelm_requests_total", 1, route, str(status))
        self.meters.observe("tweetelm_request_seconds", seconds, route)
        if route in _PROBES and status < 400:
            return
        fields = {"method": method, "path": route, "status": status, "ms": round(1000 * seconds, 1)}
        about = {"request_id": record.request_id} | fields | record.about()
        logger.info("%s %s %s", method, route, status, extra=about)


def _kind(scope: Scope) -> str:
    """Return the counter of a request, its method; "" for probes, which are not limited."""
    if scope["method"] == "GET" and scope["path"] in ALWAYS:
        return ""
    return str(scope["method"])


def _is_open(scope: Scope) -> bool:
    """Return whether a path needs no key: the page and its files, the OpenAPI description, and probes."""
    path = scope["path"]
    return scope["method"] in ("GET", "HEAD") and (path in _OPEN or path.startswith(("/docs", "/ui/")))


def _request_id(scope: Scope, *, ours: bool) -> str:
    """Return the client's X-Request-Id if it is safe for a header and a log line, else a new one. With `ours`
    false, the server has set the id, and it is used as it is."""
    given = Headers(scope=scope).get("x-request-id", "")
    if _REQUEST_ID.fullmatch(given) or (given and not ours):
        return given[:128]
    return uuid.uuid4().hex


def _content_length(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


def log_failure(what: str, error: Exception) -> None:
    """Log an exception's type and traceback without its message, which may quote the tweet."""
    trace = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s failed with %s\n%s", what, type(error).__name__, trace)
