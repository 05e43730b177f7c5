"""Batches of what waits: whenever the model is free it gets everything that waits, up to a budget of
tokens."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from serve.inference.backlog import Backlog
from serve.inference.batch import Item, Outcome, classify_each, token_count

Tell = Callable[[Sequence[Item], Sequence[Outcome], float], None]
STUCK_AFTER_S = 60.0
GATHER_S, GATHER_SHARE = 0.005, 0.03  # at most so long, and so much of the time that the batch before took
TURNS = 8  # a request has an eighth of a batch before the next one has its turn
Place: TypeAlias = "tuple[Item, asyncio.Future[Outcome]]"


class Batcher:
    """Runs batches one after the other, in a thread of its own: torch keeps a team of threads for each
    caller.

    Nothing waits for a batch to fill. While one runs, the next gathers by itself, the larger the more there
    is to do; a lone text goes at once. After a batch there is a moment for those whom it answered to ask
    again, or the first of them would go alone and leave the others waiting (docs/decisions/0016).

    Requests take turns: one with many long texts does not hold up one with a short text.
    """

    def __init__(self, budget: int, tell: Tell, tell_waiting: Callable[[int], None]) -> None:
        """`tell` is called after each batch with its items, their outcomes and its seconds, `tell_waiting`
        then and whenever nothing waits any more, with the tokens that wait."""
        self.budget = budget
        self.backlog = Backlog(budget)
        self.running_since: float | None = None
        self._tell, self._tell_waiting = tell, tell_waiting
        self._waiting: deque[deque[Place]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._work: asyncio.Task[None] | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether a forward pass has been running for so long that it will never end."""
        since = self.running_since
        return since is not None and time.monotonic() - since > STUCK_AFTER_S

    async def classify(self, items: Sequence[Item]) -> list[Outcome]:
        """An outcome for each item. If the caller gives up, those that have not begun are left out."""
        loop = asyncio.get_running_loop()
        places: list[Place] = [(item, loop.create_future()) for item in items]
        tokens = token_count(items)
        self._add(tokens)
        self._waiting.append(deque(places))
        if self._work is None or self._work.done():
            self._work = loop.create_task(self._run())
        try:
            return list(await asyncio.gather(*(future for _, future in places)))
        finally:
            self._add(-tokens)

    def _add(self, tokens: int) -> None:
        self.backlog.tokens += tokens
        if not self.backlog.tokens:
            self._tell_waiting(0)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._take():
            items = [item for item, _ in batch]
            self.running_since = began = time.monotonic()
            try:
                outcomes: Sequence[Outcome] = await loop.run_in_executor(self._thread, classify_each, items)
            except Exception as error:  # noqa: BLE001 — each caller gets it, and the next batch its turn
                outcomes = [error] * len(items)
            self.running_since = None
            took = time.monotonic() - began
            self.backlog.measured(token_count(items), took)
            self._tell(items, outcomes, took)
            self._tell_waiting(self.backlog.tokens)
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)
            await asyncio.sleep(min(GATHER_S, GATHER_SHARE * took))

    def _take(self) -> list[Place]:
        """The next batch: texts of the waiting requests in turn, up to the budget; at least one text."""
        taken: list[Place] = []
        room = self.budget
        while self._waiting:
            request, turn = self._waiting.popleft(), max(1, self.budget // TURNS)
            while request and turn > 0:
                item, future = request[0]
                if future.done():  # its caller has left
                    request.popleft()
                    continue
                if taken and item.tokens > room:
                    self._waiting.appendleft(request)
                    return taken
                taken.append(request.popleft())
                room, turn = room - item.tokens, turn - item.tokens
            if request:
                self._waiting.append(request)
        return taken
