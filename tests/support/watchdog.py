"""Measures how long an event loop is blocked."""

import asyncio
import time

from starlette.types import ASGIApp, Receive, Scope, Send

TICK_S = 0.01


class Watchdog:
    """ASGI middleware with a task that sleeps 10 ms in a loop and records how late it wakes.

    Attributes:
        worst_s: the longest delay, in seconds. Of a delay only the CPU time of this process counts, so that
        other programs on the machine do not matter.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.worst_s = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        await self.app(scope, receive, send)

    async def _watch(self) -> None:
        while True:
            wall, computed = time.monotonic(), time.process_time()
            await asyncio.sleep(TICK_S)
            late = time.monotonic() - wall - TICK_S
            self.worst_s = max(self.worst_s, min(late, time.process_time() - computed))
