"""Whether each model answers, judged by its last batch: a check costs nothing while there is work."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serve.inference.batch import Item, Outcome

if TYPE_CHECKING:
    from serve.inference.engine import Engine
    from tweetelm.predictor import Predictor

PROBE = "a tweet of fixed words asks whether the model answers"
KEPT_S = 1.0
"""Seconds for which the last batch of an idle model counts."""
ANSWER_WITHIN_S = 0.8
"""The longest wait for a probe, in seconds: a kubelet gives up after one."""


@dataclass(frozen=True)
class Seen:
    """What a model's last batch showed, and when."""

    works: bool
    at: float


class Readiness:
    """Watches the batches of an engine.

    A busy model is judged by its last batch. An idle one, or one whose last batch failed, is probed with a
    fixed text; concurrent callers share one probe.
    """

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._seen: dict[int, Seen] = {}
        self._probes: dict[int, asyncio.Task[list[Outcome]]] = {}

    def record(self, items: Sequence[Item], outcomes: Sequence[Outcome]) -> None:
        """Take note of a batch. A model works if it answered one of its texts."""
        works: dict[int, bool] = {}
        for item, outcome in zip(items, outcomes, strict=True):
            key = id(item.model)
            works[key] = works.get(key, False) or not isinstance(outcome, Exception)
        now, served = time.monotonic(), {id(model) for model in self._engine.models.values()}
        self._seen |= {key: Seen(value, now) for key, value in works.items()}
        self._seen = {key: seen for key, seen in self._seen.items() if key in served}

    async def works(self, model: "Predictor") -> bool:
        """Whether the model answers, within a second whatever it does."""
        if self._engine.batcher.is_stuck:
            return False
        seen = self._seen.get(id(model), Seen(True, 0.0))  # what is served has shown it before
        busy = self._engine.batcher.backlog.tokens > 0
        if seen.works and (busy or time.monotonic() - seen.at < KEPT_S):
            return True
        await asyncio.wait({self._probe(model)}, timeout=ANSWER_WITHIN_S)
        return self._seen.get(id(model), seen).works

    def _probe(self, model: "Predictor") -> "asyncio.Task[list[Outcome]]":
        """The probe of this model that is under way, or a new one."""
        key = id(model)
        probe = self._probes.get(key)
        if probe is None or probe.done():
            probe = self._probes[key] = asyncio.create_task(self._engine.classify(model, [PROBE]))
            probe.add_done_callback(lambda _: self._probes.pop(key, None))
        return probe
