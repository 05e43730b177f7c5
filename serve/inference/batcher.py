"""Continuous batching: whenever the model is free, it gets all queued texts, up to a budget of tokens."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from tweetelm.encoding import Encoded
    from tweetelm.predictor import Prediction, Predictor

Outcome: TypeAlias = "Prediction | Exception"  # the result for one text
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Item:
    """One encoded text and the model that encoded it: after a swap, queued texts still run on the old model.

    Attributes:
        client: Equal texts of one client are classified once per batch, and equal prefixes are computed once;
            None: this text is never shared.
    """

    model: "Predictor"
    encoded: "Encoded"
    client: str | None = None

    @property
    def tokens(self) -> int:
        return len(self.encoded.ids)


def token_count(items: Collection[Item]) -> int:
    """Return the size of a batch in tokens: the sum of its texts, since rows are not padded."""
    return sum(item.tokens for item in items)


def computed_tokens(items: Collection[Item]) -> int:
    """Return the number of tokens that a batch computes: the common prefix of a client's texts only once."""
    groups: dict[tuple[int, str | None], list[tuple[int, ...]]] = {}
    for item in items:
        groups.setdefault((id(item.model), item.client), []).append(item.encoded.ids)
    shared = sum(
        sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(*pair, strict=False)))
        for (_, client), texts in groups.items()
        if client is not None
        for pair in pairwise(sorted(texts))
    )
    return token_count(items) - shared


def distinct(items: Sequence[Item]) -> list[Item]:
    """Return, per item and in order, the first item of the same client, model and text."""
    first: dict[tuple[int, str, Encoded], Item] = {}
    return [
        item if item.client is None else first.setdefault((id(item.model), item.client, item.encoded), item)
        for item in items
    ]


def classify_each(items: Sequence[Item]) -> list[Outcome]:
    """Classify a batch; returns, per item and in order, its prediction or the exception that it raises
    alone."""
    read = distinct(items)
    by_model: dict[int, dict[Item, None]] = {}
    for item in read:
        by_model.setdefault(id(item.model), {})[item] = None
    outcomes: dict[Item, Outcome] = {}
    for group in by_model.values():
        outcomes |= zip(group, _isolated(next(iter(group)).model, list(group)), strict=True)
    return [outcomes[item] for item in read]


def _isolated(model: "Predictor", items: Sequence[Item]) -> list[Outcome]:
    """Bisect a failing batch until each failing text is alone; smaller batches also recover from
    out-of-memory."""
    try:
        found = model.classify([item.encoded for item in items], [item.client for item in items])
        if len(found) != len(items):
            raise RuntimeError(f"the model gave {len(found)} predictions for {len(items)} texts")
    except Exception as error:  # noqa: BLE001 — returned as the outcome of its text
        if len(items) == 1:
            return [error]
        half = len(items) // 2
        return _isolated(model, items[:half]) + _isolated(model, items[half:])
    return list(found)


class Backlog:
    """Counts the tokens queued or in a batch, and estimates throughput from recent batches.

    Only batches that are at least a quarter full are measured. A pass over a single tweet takes nearly as
    long as one over a dozen, so small batches would overestimate the wait; under load, batches are full.

    Attributes:
        tokens: Tokens queued or in the running batch.
    """

    _DECAY = 0.8  # weight of earlier measurements with each new batch

    def __init__(self, batch_tokens: int) -> None:
        self.tokens = 0
        self._fewest = batch_tokens / 4
        self._read = 0.0
        self._seconds = 0.0

    @property
    def wait_s(self) -> float:
        """Estimated seconds until the queue is empty; 0 before the first measurement."""
        return self.tokens * self._seconds / self._read if self._read else 0.0

    def measured(self, tokens: int, seconds: float) -> None:
        """Record that a batch of `tokens` took `seconds`."""
        if tokens >= self._fewest:
            self._read = self._read * self._DECAY + tokens
            self._seconds = self._seconds * self._DECAY + seconds


OnBatch = Callable[[Sequence[Item], Sequence[Outcome], float], None]
STUCK_AFTER_S = 60.0
GATHER_S, GATHER_SHARE = 0.005, 0.03  # the pause after a batch: at most 5 ms, and 3% of the batch's time
TURNS = 8  # each request in turn contributes an eighth of the budget
Pending: TypeAlias = "tuple[Item, asyncio.Future[Outcome]]"


class Batcher:
    """Runs batches one after the other in one thread: torch keeps a thread pool per calling thread.

    No text waits for a batch to fill. A single text runs at once; while a batch runs, the queue fills, so
    batches grow with load. A pause of at most 5 ms after each batch lets the answered clients send their next
    request. Without it, the first of them would run alone while the others wait (docs/decisions/0016).

    Requests are scheduled round-robin, so one with many long texts does not delay one with a short text.
    """

    def __init__(self, budget: int, on_batch: OnBatch, on_backlog: Callable[[int], None]) -> None:
        """Args:
        budget: Maximum tokens in a batch; a longer single text still runs.
        on_batch: Called after each batch with its items, their outcomes and its duration in seconds.
        on_backlog: Called with the queued tokens after each batch and when the queue becomes empty.
        """
        self.budget = budget
        self.backlog = Backlog(budget)
        self.running_since: float | None = None
        self._on_batch, self._on_backlog = on_batch, on_backlog
        self._waiting: deque[deque[Pending]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._work: asyncio.Task[None] | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether a forward pass has been running for more than `STUCK_AFTER_S` seconds."""
        since = self.running_since
        return since is not None and time.monotonic() - since > STUCK_AFTER_S

    async def classify(self, items: Sequence[Item]) -> list[Outcome]:
        """Return an outcome for each item. If the caller is cancelled, items not yet in a batch are
        dropped."""
        if not items:
            return []
        loop = asyncio.get_running_loop()
        pending: list[Pending] = [(item, loop.create_future()) for item in items]
        tokens = token_count(items)
        self._add(tokens)
        self._waiting.append(deque(pending))
        if self._work is None or self._work.done():
            self._work = loop.create_task(self._run())
        try:
            return list(await asyncio.gather(*(future for _, future in pending)))
        finally:
            self._add(-tokens)

    def _add(self, tokens: int) -> None:
        self.backlog.tokens += tokens
        if not self.backlog.tokens:
            self._on_backlog(0)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._take():
            items = [item for item, _ in batch]
            self.running_since = began = time.monotonic()
            try:
                outcomes: Sequence[Outcome] = await loop.run_in_executor(self._thread, classify_each, items)
            except Exception as error:  # noqa: BLE001 — each caller gets it; the next batch still runs
                outcomes = [error] * len(items)
            self.running_since = None
            took = time.monotonic() - began
            self.backlog.measured(computed_tokens({*distinct(items)}), took)
            self._on_batch(items, outcomes, took)
            self._on_backlog(self.backlog.tokens)
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)
            await asyncio.sleep(min(GATHER_S, GATHER_SHARE * took))

    def _take(self) -> list[Pending]:
        """Return the next batch: queued texts, round-robin over requests, up to the budget; at least one
        text."""
        taken: list[Pending] = []
        remaining = self.budget
        while self._waiting:
            request, turn = self._waiting.popleft(), max(1, self.budget // TURNS)
            while request and turn > 0:
                item, future = request[0]
                if future.done():  # its caller was cancelled
                    request.popleft()
                    continue
                if taken and item.tokens > remaining:
                    self._waiting.appendleft(request)
                    return taken
                taken.append(request.popleft())
                remaining, turn = remaining - item.tokens, turn - item.tokens
            if request:
                self._waiting.append(request)
        return taken


async def run_apart(work: Callable[[], T]) -> T:
    """Run `work`, which computes with torch, in a thread that ends with it.

    OpenMP keeps threads for each living thread that has computed. If they are more than the CPUs, they sleep
    between two operations instead of spinning, and passes take 1.2 to 1.7 times as long. So only the thread
    of the batches computes and lives on (docs/decisions/0045).
    """
    own = ThreadPoolExecutor(1, thread_name_prefix="apart")
    try:
        return await asyncio.get_running_loop().run_in_executor(own, work)
    finally:
        own.shutdown(wait=False)
