"""A local OpenAI-compatible server that is slow, refuses, and sometimes answers nonsense."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

_WORDS = [
    "rain",
    "roof",
    "cat",
    "bus",
    "tea",
    "song",
    "lake",
    "bread",
    "moon",
    "shoe",
    "door",
    "lamp",
    "wind",
    "snow",
    "boat",
    "hill",
]


@dataclass(kw_only=True)
class ChatApi:
    """How the server behaves, and what it saw.

    Attributes:
        delay: seconds to an answer.
        nonsense: every so-manieth answer is not JSON; 0 for none.
        refuse: every so-manieth request gets 429 with Retry-After 1; 0 for none.
        fail: every so-manieth request gets 500; 0 for none.
        key: the key that is needed; empty for none.
        status: answer every request with this status and an error; 0 for none.
        usage: count the tokens in each answer.
        text: what every answer says; empty for words that follow from the seed.
        arrivals: times of the requests.
        seeds: seeds of the requests, in the order of their arrival.
        answered: prompts that got an answer, with repetitions.
        most: most requests at once.
    """

    delay: float = 0.0
    nonsense: int = 0
    refuse: int = 0
    fail: int = 0
    key: str = ""
    status: int = 0
    usage: bool = True
    text: str = ""
    arrivals: list[float] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    most: int = 0
    url: str = ""
    _now: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        number = len(self.arrivals) + 1
        self.arrivals.append(time.monotonic())
        body = await request.json()
        self.seeds.append(body["seed"])
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"message": "wrong key"}}, status=401)
        if self.status:
            return web.json_response({"error": {"message": "balance is empty"}}, status=self.status)
        if self.refuse and number % self.refuse == 0:
            self.refusals.append(time.monotonic())
            return web.json_response({}, status=429, headers={"Retry-After": "1"})
        if self.fail and number % self.fail == 0:
            return web.Response(status=500, text="oops")
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(self.delay)
        self._now -= 1
        prompt = json.dumps([body["messages"], body["seed"]])
        self.answered.append(prompt)
        if self.nonsense and len(self.answered) % self.nonsense == 0:
            return web.Response(text="<html>504</html>")
        found = answer(body)
        if self.text:
            found["choices"][0]["message"]["content"] = self.text
        if not self.usage:
            del found["usage"]
        return web.json_response(found)


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """A tweet of words that follow from the seed."""
    seed = body["seed"]
    words = [_WORDS[(seed >> (3 * place)) % 8] for place in range(9)]
    return {
        "choices": [{"message": {"role": "assistant", "content": " ".join(words)}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    }


@contextmanager
def chat_api(**behavior: Any) -> Iterator[ChatApi]:
    """Serve on a free port of 127.0.0.1."""
    api, ready, loop, ended = (
        ChatApi(**behavior),
        threading.Event(),
        asyncio.new_event_loop(),
        asyncio.Event(),
    )

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", api.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        ready.set()
        await ended.wait()
        with suppress(TimeoutError):  # an open transport would warn in some later test
            async with asyncio.timeout(5):
                while runner.server and runner.server.connections:
                    await asyncio.sleep(0.01)
        await runner.cleanup()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(30)
    try:
        yield api
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)


def busiest(times: list[float], window: float) -> int:
    """Most requests that arrived within so many seconds."""
    found = sorted(times)
    return max(
        (sum(1 for later in found[at:] if later < first + window) for at, first in enumerate(found)),
        default=0,
    )
