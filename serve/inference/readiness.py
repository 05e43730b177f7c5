"""Readiness of each model, taken from its last batch: under load, a check needs no forward pass."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serve.inference.batcher import Item, Outcome

if TYPE_CHECKING:
    from serve.inference.engine import Engine
    from tweetelm.predictor import Predictor

PROBE = "a tweet of fixed words asks whether the model answers"
KEPT_S = 1.0
"""Seconds for which the last batch of an idle model is accepted as proof."""
ANSWER_WITHIN_S = 0.8
"""Maximum wait for a probe in seconds: a kubelet times out after 1 s."""


@dataclass(frozen=True)
class Seen:
    """Whether a model's last batch succeeded, and its time on the monotonic clock in seconds."""

    works: bool
    at: float


class Readiness:
    """Tracks the batches of an engine.

    The last batch decides for a busy model. An idle model, or one whose last batch failed, is probed with a
    fixed text; concurrent callers share one probe.
    """

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._seen: dict[int, Seen] = {}
        self._probes: dict[int, asyncio.Task[list[Outcome]]] = {}

    def record(self, items: Sequence[Item], outcomes: Sequence[Outcome]) -> None:
        """Record a batch. A model works if it classified at least one of its texts."""
        works: dict[int, bool] = {}
        for item, outcome in zip(items, outcomes, strict=True):
            key = id(item.model)
            works[key] = works.get(key, False) or not isinstance(outcome, Exception)
        now, served = time.monotonic(), {id(model) for model in self._engine.models.values()}
        self._seen |= {key: Seen(value, now) for key, value in works.items()}
        self._seen = {key: seen for key, seen in self._seen.items() if key in served}

    async def works(self, model: "Predictor") -> bool:
        """Return whether the model answers; takes at most `ANSWER_WITHIN_S` seconds."""
        if self._engine.batcher.is_stuck:
            return False
        seen = self._seen.get(id(model), Seen(True, 0.0))  # it was probed when it was loaded
        busy = self._engine.batcher.backlog.tokens > 0
        if seen.works and (busy or time.monotonic() - seen.at < KEPT_S):
            return True
        await asyncio.wait({self._probe(model)}, timeout=ANSWER_WITHIN_S)
        return self._seen.get(id(model), seen).works

    def _probe(self, model: "Predictor") -> "asyncio.Task[list[Outcome]]":
        """Return the running probe of this model, or start one."""
        key = id(model)
        probe = self._probes.get(key)
        if probe is None or probe.done():
            probe = self._probes[key] = asyncio.create_task(self._engine.classify(model, [PROBE]))
            probe.add_done_callback(lambda _: self._probes.pop(key, None))
        return probe
