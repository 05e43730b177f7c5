"""How long something holds an event loop, measured from inside it."""

import asyncio
import time

from starlette.types import ASGIApp, Receive, Scope, Send

TICK_S = 0.01


class Watchdog:
    """ASGI around an application: a task in its event loop sleeps 10 ms, again and again, and records by how
    much it woke late.

    Attributes:
        worst_s: the longest delay. Of a delay only what this process computed meanwhile is counted: a machine
        that gives its processors to others is not the application's fault.
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
