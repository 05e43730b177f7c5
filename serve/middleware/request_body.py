"""Limits a request body in size and time, and cancels the request when the client disconnects."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from serve.limits import Limits
from serve.middleware.errors import ApiError


class RequestBody:
    """An ASGI `receive` that rejects a body which is too large or too slow.

    A body must arrive within `limits.body_s` seconds. A file gets additional time: its bytes so far divided
    by `limits.file_bytes_per_s`.

    Attributes:
        left: Whether the client has disconnected.
    """

    def __init__(self, receive: Receive, limits: Limits, *, is_file: bool) -> None:
        self._receive, self._limits, self._is_file = receive, limits, is_file
        self._began, self._seen = time.monotonic(), 0
        self._whole, self._gone = asyncio.Event(), asyncio.Event()

    @property
    def left(self) -> bool:
        return self._gone.is_set()

    async def __call__(self) -> Message:
        """Return the next ASGI message.

        Raises:
            ApiError: the body is too slow (408).
            HTTPException: the body is too large (413).
            CancelledError: the client disconnected before the body was complete.
        """
        if self._whole.is_set():
            await self._gone.wait()
            return {"type": "http.disconnect"}
        message = await self._next()
        if message["type"] == "http.disconnect":
            self._gone.set()
            raise asyncio.CancelledError
        self._seen += len(message.get("body", b""))
        if self._seen > (self._limits.file_bytes if self._is_file else self._limits.body_bytes):
            raise HTTPException(413)
        if not message.get("more_body", False):
            self._whole.set()
        return message

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout(self._deadline() - time.monotonic()):
                return await self._receive()
        except TimeoutError:
            raise ApiError("body_too_slow", self._too_slow()) from None

    def _deadline(self) -> float:
        extra = self._seen / self._limits.file_bytes_per_s if self._is_file else 0.0
        return self._began + self._limits.body_s + extra

    def _too_slow(self) -> str:
        if self._is_file:
            return (
                f"after {self._limits.body_s:g} s the file arrived at less than "
                f"{self._limits.file_bytes_per_s} bytes per second; send it faster, or in several files"
            )
        return f"the body did not arrive within {self._limits.body_s:g} s"

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Cancel the block when the client disconnects, and continue after the block.

        While the body arrives, its reader detects the disconnect; afterwards this task does.
        """
        work = asyncio.current_task()
        assert work is not None
        watch = asyncio.create_task(self._watch(work))
        try:
            yield
        except asyncio.CancelledError:
            if not self.left:
                raise
            work.uncancel()
        finally:
            watch.cancel()

    async def _watch(self, work: "asyncio.Task[object]") -> None:
        await self._whole.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()
        work.cancel()
