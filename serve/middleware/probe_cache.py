"""Caches responses to probes for one second, so that the application handles at most one per second."""

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEPT_S = 1.0


class CachedProbe:
    """The cached response to one path and method. Concurrent requests share one call of the application."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._until = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the cached response; if it is older than a second, call `app` first."""
        if time.monotonic() >= self._until:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask(app, scope, receive))
            await asyncio.shield(self._asking)
        for message in self._messages:
            await send(dict(message))

    async def _ask(self, app: ASGIApp, scope: Scope, receive: Receive) -> None:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(_shared(message))

        await app(scope, receive, keep)
        self._messages, self._until = messages, time.monotonic() + KEPT_S


def _shared(message: Message) -> Message:
    """Return the message without the header X-Request-Id, which differs per request."""
    if message["type"] != "http.response.start":
        return message
    headers = [pair for pair in message["headers"] if bytes(pair[0]).lower() != b"x-request-id"]
    return {**message, "headers": headers}
