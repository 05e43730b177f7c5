"""One rate limit and one ceiling for all workers of a job that asks an endpoint."""

import asyncio
import time
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a job may ask and spend, over all its commands in one folder.

    Attributes:
        per_minute: requests per minute, retries included.
        requests: number of requests, retries included.
        tokens: prompt and answer tokens.
        dollars: price of these tokens.
        price_in, price_out: dollars per million prompt and answer tokens.
    """

    per_minute: float
    requests: int
    tokens: int | None = None
    dollars: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0

    def cost(self, prompt: int, completion: int) -> float:
        """Dollars for so many tokens."""
        return (prompt * self.price_in + completion * self.price_out) / 1e6


@dataclass(kw_only=True)
class Spent:
    """What was asked and spent: requests, prompt tokens, answer tokens, and answers that came."""

    requests: int = 0
    prompt: int = 0
    completion: int = 0
    answers: int = 0


class Ledger:
    """Grants requests. One actor of this class serves all workers of a job.

    Requests are granted at equal distances, so that no window of time has more than the rate allows. Before
    a request, its prompt and the longest answer are reserved; a request that could exceed a ceiling is
    refused. Requests that fail keep their reservation, because the endpoint may have charged for them.

    Args:
        limits: of the job.
        spent: by earlier commands in the same folder.
    """

    def __init__(self, limits: Limits, spent: Spent) -> None:
        self.limits, self.spent = limits, spent
        self._next = self._paused_until = 0.0

    async def acquire(self, prompt: int, completion: int) -> str:
        """Wait for the next free moment. Returns why the request must not be sent; empty if it may.

        Args:
            prompt: expected prompt tokens.
            completion: most answer tokens.
        """
        refused = self._over(prompt, completion)
        if refused:
            return refused
        self.spent.requests += 1
        self.spent.prompt += prompt
        self.spent.completion += completion
        while True:
            now = time.monotonic()
            turn = max(now, self._next, self._paused_until)
            self._next = turn + 60 / self.limits.per_minute
            if turn > now:
                await asyncio.sleep(turn - now)
            if time.monotonic() >= self._paused_until:
                return ""

    def settle(self, reserved: tuple[int, int], used: tuple[int, int]) -> None:
        """Replace a reservation by the tokens that the endpoint counted: (prompt, answer)."""
        self.spent.prompt += used[0] - reserved[0]
        self.spent.completion += used[1] - reserved[1]
        self.spent.answers += 1

    def refund(self, prompt: int, completion: int) -> None:
        """Take back a reservation of a request that did not reach the endpoint."""
        self.spent.requests -= 1
        self.spent.prompt -= prompt
        self.spent.completion -= completion

    def pause(self, seconds: float) -> None:
        """Send nothing for so long: the endpoint asked for it."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def state(self) -> Spent:
        """What is spent."""
        return self.spent

    def _over(self, prompt: int, completion: int) -> str:
        spent, limits = self.spent, self.limits
        tokens = spent.prompt + spent.completion + prompt + completion
        dollars = limits.cost(spent.prompt + prompt, spent.completion + completion)
        if spent.requests >= limits.requests:
            return f"--max-requests {limits.requests} is reached"
        if limits.tokens is not None and tokens > limits.tokens:
            return f"--max-total-tokens {limits.tokens} would be exceeded"
        if limits.dollars is not None and dollars > limits.dollars:
            return f"--max-dollars {limits.dollars} would be exceeded"
        return ""


def announcement(limits: Limits, spent: Spent, prompt: int, completion: int) -> str:
    """What the job may cost at most, before it begins.

    Args:
        limits: of the job.
        spent: so far.
        prompt: expected prompt tokens of one request.
        completion: most answer tokens of one request.
    """
    left = max(limits.requests - spent.requests, 0)
    tokens = left * (prompt + completion)
    if limits.tokens is not None:
        tokens = min(tokens, max(limits.tokens - spent.prompt - spent.completion, 0))
    words = f"at most {left:,} requests, {tokens:,} tokens"
    if not limits.price_in and not limits.price_out:
        return f"{words}; no price is set (--price-in, --price-out)"
    dollars = limits.cost(left * prompt, left * completion)
    if limits.dollars is not None:
        dollars = min(dollars, max(limits.dollars - limits.cost(spent.prompt, spent.completion), 0.0))
    return f"{words}, {dollars:,.2f} dollars"
