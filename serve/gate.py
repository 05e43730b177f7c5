"""The outermost layer of the API: names each request, asks for its key, refuses what is too much, bounds its
body, answers when all else has failed, and says what became of it."""

import asyncio
import logging
import math
import re
import time
import traceback
import uuid
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.engine import Engine, Limits
from serve.errors import ApiError, Failure
from serve.keys import Keys
from serve.record import Record, attach, record_of

logger = logging.getLogger("tweetelm.serve")
FILE_PATH = "/v1/classify/file"
_OPEN = frozenset({"/", "/page.css", "/page.js", "/health", "/ready", "/openapi.json"})
_PROBES = frozenset({"/health", "/ready", "/metrics"})  # asked every few seconds; logged only if they fail
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_CLIENT_LEFT = 499


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Who may ask, for how much, and what is told of it.

    Attributes:
        answer_request_id: write X-Request-Id; not behind Ray Serve, which writes it itself.
        log_texts: write the texts themselves into the log.
        cors_origins: pages of other origins that may ask; none by default.
    """

    limits: Limits = field(default_factory=Limits)
    keys: Keys = field(default_factory=Keys)
    answer_request_id: bool = True
    log_texts: bool = False
    cors_origins: tuple[str, ...] = ()


class Gate:
    """What stands before the routes; `around` makes the ASGI middleware of it."""

    def __init__(self, engine: Engine, policy: Policy) -> None:
        self.engine = engine
        self.policy = policy
        self.meters = engine.meters
        self._in_flight = 0

    def around(self, app: ASGIApp) -> ASGIApp:
        """`app` behind this gate."""

        async def passed(scope: Scope, receive: Receive, send: Send) -> None:
            await self._pass(app, scope, receive, send)

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            await (
                self._told(passed, scope, receive, send)
                if scope["type"] == "http"
                else app(scope, receive, send)
            )

        return guarded

    def is_too_much(self, requests: int) -> bool:
        """Whether one of so many POST requests has to be refused."""
        limits = self.policy.limits
        return requests > limits.concurrent or self.engine.wait_s > limits.wait_s

    async def turn_away(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request for which there is no room."""

        async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
            await self._overloaded().answer(scope)(scope, receive, send)

        await self._told(refuse, scope, receive, send)

    async def _told(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        record = Record(_request_id(scope, ours=self.policy.answer_request_id))
        attach(scope, record)
        began = time.perf_counter()

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                self._add_headers(message, record)
            await send(message)

        try:
            await app(scope, receive, send_named)
        finally:
            self._tell(scope, record, time.perf_counter() - began)

    async def _pass(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        record, work = record_of(scope), int(scope["method"] == "POST")
        self._count(work)
        try:
            refused = self._refusal(scope, record)
            inner = refused.answer(scope) if refused else app
            await inner(scope, _bounded(receive, self.policy.limits, scope["path"]), send)
        except Exception as error:
            log_failure(f"request {record.request_id}", error)
            if record.status:
                raise
            await Failure(code="internal").answer(scope)(scope, receive, send)
        finally:
            self._count(-work)

    def _refusal(self, scope: Scope, record: Record) -> Failure | None:
        """What can be refused before the body is read, so that refusing costs little when there is too
        much."""
        headers, limits = Headers(scope=scope), self.policy.limits
        if self.policy.keys.needed and not _is_open(scope):
            name = self.policy.keys.name_of(headers.get("authorization", ""))
            if name is None:
                return Failure(code="invalid_api_key")
            record.key = name
        if scope["method"] != "POST":
            return None
        if self.is_too_much(self._in_flight):
            return self._overloaded()
        if headers.get("content-encoding", "identity") != "identity":
            return Failure(code="unsupported_encoding")
        too_large = scope["path"] != FILE_PATH and _announced(headers) > limits.body_bytes
        return Failure(code="body_too_large") if too_large else None

    def _overloaded(self) -> Failure:
        return Failure(code="overloaded", headers={"Retry-After": str(max(1, math.ceil(self.engine.wait_s)))})

    def _add_headers(self, message: Message, record: Record) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        if self.policy.answer_request_id:
            headers["X-Request-Id"] = record.request_id

    def _count(self, change: int) -> None:
        self._in_flight += change
        self.meters.set("tweetelm_in_flight", self._in_flight)

    def _tell(self, scope: Scope, record: Record, seconds: float) -> None:
        status = record.status or _CLIENT_LEFT
        route = getattr(scope.get("route"), "path", "other")
        self.meters.add("tweetelm_requests_total", 1, route, str(status))
        self.meters.observe("tweetelm_request_seconds", seconds, route)
        if route in _PROBES and status < 400:
            return
        fields = {"method": scope["method"], "path": route, "status": status, "ms": round(1000 * seconds, 1)}
        about = {"request_id": record.request_id} | fields | record.about()
        logger.info("%s %s %s", scope["method"], route, status, extra=about)


def _is_open(scope: Scope) -> bool:
    """Whether a path needs no key: the page, its files, the description, and what a load balancer asks."""
    path = scope["path"]
    return scope["method"] in ("GET", "HEAD") and (path in _OPEN or path.startswith("/docs"))


def _request_id(scope: Scope, *, ours: bool) -> str:
    """The caller's own if it is fit for a header and a log line, else a new one; behind a server that names
    requests, its name."""
    given = Headers(scope=scope).get("x-request-id", "")
    if _REQUEST_ID.fullmatch(given) or (given and not ours):
        return given[:128]
    return uuid.uuid4().hex


def _announced(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


def _bounded(receive: Receive, limits: Limits, path: str) -> Receive:
    """`receive` that refuses what is past the limit in a body sent in chunks, or longer than announced, and
    does not wait for ever. A file may have any length, and its time starts again with each part."""
    seen, is_file, deadline = 0, path == FILE_PATH, time.monotonic() + limits.body_s
    whole = False

    async def receive_bounded() -> Message:
        nonlocal seen, deadline, whole
        if whole:  # what comes now is that the client leaves, whenever that is
            return await receive()
        if is_file:
            deadline = time.monotonic() + limits.body_s
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                message = await receive()
        except TimeoutError:
            raise ApiError("body_too_slow", f"the body did not arrive within {limits.body_s:g} s") from None
        seen += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if seen > limits.body_bytes and not is_file:
            raise HTTPException(413)
        return message

    return receive_bounded


def log_failure(what: str, error: Exception) -> None:
    """Type and place, not the message: it may quote the tweet."""
    place = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s failed with %s\n%s", what, type(error).__name__, place)
