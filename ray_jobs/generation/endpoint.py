"""Asks an OpenAI-compatible endpoint: many requests in flight, answers recorded as they come."""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from numpy.typing import NDArray

from tweetelm.cli.command import message
from tweetelm.files.names import printable
from tweetelm.generation.journal import JournalWriter
from tweetelm.generation.request import Answer, Request

_ATTEMPTS = 6
_LONGEST_WAIT_S = 60.0
_CHARACTERS_PER_TOKEN = 3.5  # of English, for the estimate; the endpoint's own count replaces it
_CHAT_TOKENS = 20  # around the messages of a prompt
_AGAIN = (408, 425, 429)  # and 5xx: the same request may succeed later
_FILTERED = ("content_filter", "content_policy_violation")  # codes of a refusal of one prompt


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where and how to ask.

    Attributes:
        url: base URL, such as http://127.0.0.1:8000/v1.
        model: name of the model there.
        key: API key; empty to send none.
        new_tokens: maximum number of tokens of an answer.
        timeout_s: seconds to wait for an answer.
        in_flight: requests at once, per worker.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    new_tokens: int
    timeout_s: float
    in_flight: int


class EndpointError(ValueError):
    """The endpoint refuses all requests."""


def expected_tokens(request: Request) -> int:
    """Estimated prompt tokens."""
    return _estimate(request.system + request.user) + _CHAT_TOKENS


def _estimate(text: str) -> int:
    return round(len(text) / _CHARACTERS_PER_TOKEN)


class AskEndpoint:
    """An actor: asks for the requests of a batch and records the answers.

    Args:
        endpoint: where to ask.
        ledger: handle of the job's `Ledger`.
        journal: folder of the answers.
    """

    def __init__(self, endpoint: Endpoint, ledger: Any, journal: Path) -> None:
        self.endpoint, self.ledger, self.journal = endpoint, ledger, journal
        self.last_error = ""

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        outcomes = [self._outcome(item) for item in batch["item"]]
        return {"outcome": np.array([json.dumps(outcome) for outcome in outcomes])}

    def _outcome(self, requests: Sequence[Request]) -> dict[str, Any]:
        try:
            return asyncio.run(self._ask_all(requests))
        except (EndpointError, OSError) as error:
            return {"error": message(error)}

    async def _ask_all(self, requests: Sequence[Request]) -> dict[str, Any]:
        waiting = iter(requests)
        stopped: list[str] = []
        with JournalWriter(self.journal) as writer:
            async with self._session() as session:

                async def work() -> int:
                    """Ask one request after another; returns the number of those without an answer."""
                    unanswered = 0
                    for request in waiting:
                        answer = None if stopped else await self._ask(session, request, writer, stopped)
                        if answer is None:
                            unanswered += 1
                        else:
                            writer.answered([answer])
                    return unanswered

                unanswered = await asyncio.gather(*[work() for _ in range(self.endpoint.in_flight)])
        why = stopped[0] if stopped else ""
        return {"unanswered": sum(unanswered), "stopped": why, "last_error": self.last_error}

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self.endpoint.key}"} if self.endpoint.key else {},
            timeout=aiohttp.ClientTimeout(total=self.endpoint.timeout_s),
            connector=aiohttp.TCPConnector(limit=0),  # `in_flight` bounds the connections
        )

    async def _ask(
        self, session: aiohttp.ClientSession, request: Request, writer: JournalWriter, stopped: list[str]
    ) -> Answer | None:
        """One answer; None if the endpoint gave none in six attempts, or if a ceiling is reached.

        Raises:
            EndpointError: the endpoint refuses all requests, or no connection can be made.
        """
        reserved = (expected_tokens(request), self.endpoint.new_tokens)
        answer: Answer | None = None
        for attempt in range(_ATTEMPTS):
            refused = await self.ledger.acquire.remote(*reserved)
            if refused:
                stopped.append(refused)
                return None
            writer.sent(request.id)
            try:
                answer = await self._send(session, request)
            except aiohttp.ClientConnectorError as error:  # nothing was sent
                writer.unsent(request.id)
                await self.ledger.refund.remote(*reserved)
                if attempt == _ATTEMPTS - 1:
                    raise EndpointError(self._unreachable(error)) from error
            except (aiohttp.ClientError, TimeoutError) as error:
                self.last_error = f"{type(error).__name__} {error}".strip()
            if answer is not None:
                used = (answer.prompt_tokens, answer.completion_tokens)
                await self.ledger.settle.remote(reserved, used)
                return answer
            await asyncio.sleep(random.uniform(0.5, 1.0) * min(2.0**attempt / 4, _LONGEST_WAIT_S))
        return None

    async def _send(self, session: aiohttp.ClientSession, request: Request) -> Answer | None:
        """The answer, or None if the request may be sent again."""
        url = f"{self.endpoint.url.rstrip('/')}/chat/completions"
        async with session.post(url, json=self._body(request)) as response:
            body = await response.read()
            if response.status in _AGAIN or response.status >= 500:
                self.last_error = f"{response.status} {_said(body)}".strip()
                if wait := _retry_after(response.headers.get("Retry-After")):
                    await self.ledger.pause.remote(wait)
                return None
            if response.status != 200 and not any(code in _said(body) for code in _FILTERED):
                advice = _advice(response.status, self.endpoint.model)
                raise EndpointError(f"{url} answered {response.status} ({_said(body)}): {advice}")
            return _parsed(request, body, self.endpoint.new_tokens)

    def _unreachable(self, error: Exception) -> str:
        return (
            f"cannot connect to {self.endpoint.url} ({error}); start the server, or correct --endpoint, and "
            "run the same command again: nothing was charged to the ceilings"
        )

    def _body(self, request: Request) -> dict[str, Any]:
        return {
            "model": self.endpoint.model,
            "messages": request.messages,
            "temperature": request.temperature,
            "seed": request.seed,
            "max_tokens": self.endpoint.new_tokens,
        }


def _advice(status: int, model: str) -> str:
    if status == 404:
        return f"expected the base URL of an OpenAI-compatible API, and the model {model!r} there"
    if status in (401, 403):
        return "set OPENAI_API_KEY, or name a file with the key: --api-key-file FILE"
    return "remove the cause and run the same command again; no answer was lost"


def _said(body: bytes) -> str:
    """The start of what a server said with an error."""
    return printable(body[:300].decode("utf-8", "replace").strip())


def _retry_after(value: str | None) -> float:
    """Seconds of a Retry-After header in its numeric form; 0 for none."""
    try:
        return min(max(float(value or 0), 0.0), 3600.0)
    except ValueError:
        return 1.0  # a date: wait a little, and ask again


def _parsed(request: Request, body: bytes, new_tokens: int) -> Answer:
    """The answer in a response; without a text if it is malformed or the prompt was refused. Tokens that the
    endpoint does not count are estimated."""
    expected = expected_tokens(request)
    try:
        values = json.loads(body)
        choice = values["choices"][0]
        text, usage = choice["message"]["content"], values.get("usage") or {}
        return Answer(
            id=request.id,
            text=text.encode("utf-8", "replace").decode("utf-8"),  # an unpaired surrogate is no text
            finished=choice.get("finish_reason") != "length",
            prompt_tokens=int(usage.get("prompt_tokens", expected)),
            completion_tokens=int(usage.get("completion_tokens", min(new_tokens, _estimate(text) + 1))),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return Answer(id=request.id, text=None, prompt_tokens=expected, completion_tokens=new_tokens)
