"""The outermost layer of the API: names each request, bounds its body, answers when all else has failed."""

import logging
import re
import traceback
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import answer

logger = logging.getLogger("tweetelm.serve")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Gate:
    """ASGI middleware.

    `answer_request_id`: write the X-Request-Id header; not behind Ray Serve, whose proxy writes it itself.
    """

    def __init__(self, app: ASGIApp, *, body_bytes: int, answer_request_id: bool) -> None:
        self.app = app
        self.body_bytes = body_bytes
        self.answer_request_id = answer_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request_id = _request_id(scope)
        started = False

        async def send_named(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if self.answer_request_id:
                    MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        if _announced(scope) > self.body_bytes:
            return await answer("body_too_large")(scope, receive, send_named)
        try:
            await self.app(scope, _bounded(receive, self.body_bytes), send_named)
        except Exception as error:
            log_failure(f"request {request_id}", error)
            if started:
                raise
            await answer("internal")(scope, receive, send_named)


def _request_id(scope: Scope) -> str:
    """The caller's own if it is fit for a header and a log line, else a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


def _bounded(receive: Receive, limit: int) -> Receive:
    """`receive` that refuses what is past the limit in a body sent in chunks, or longer than announced."""
    seen = 0

    async def receive_bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise HTTPException(413)
        return message

    return receive_bounded


def log_failure(what: str, error: Exception) -> None:
    """Type and place, not the message: it may quote the tweet."""
    place = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s failed with %s\n%s", what, type(error).__name__, place)
