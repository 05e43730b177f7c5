"""What the routes ask: the models, and what one request may ask of them."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serve.inference.batch import Item, Outcome, token_count
from serve.inference.batcher import Batcher
from serve.inference.readiness import Readiness
from serve.observability.metrics import Meters

if TYPE_CHECKING:  # only types: the routes import no torch
    from tweetelm.predictor import Predictor

BATCH_TOKENS = 2048
SWITCH_S = 0.001
MOST_INPUTS = 1024
"""What `Limits.inputs` may be at most: validation of a body stops there."""
SHORT = 4000  # characters that are encoded at once, some milliseconds at worst: a thread would take longer


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may ask for, and what one replica takes on."""

    inputs: int = 32
    """Texts in one request."""
    body_bytes: int = 2_000_000
    """Bytes of a body; 62,500 for each of 32 texts."""
    body_s: float = 10.0
    """Seconds within which a request's body must be there; of a file, its first bytes."""
    deadline_s: float = 20.0
    """Seconds until a request is answered with 504."""
    concurrent: int = 256
    """POST requests in one replica; more are refused with 429."""
    concurrent_gets: int = 64
    """GET requests in one replica other than /health and /ready; more are refused with 429."""
    wait_s: float = 10.0
    """Seconds of work, by estimate, that may wait in one replica; more is refused with 429."""
    files: int = 4
    """Files that one replica takes at a time."""
    files_per_key: int = 2
    """Files that one replica takes at a time of one key."""
    file_bytes: int = 1_000_000_000
    """Bytes of a file, which lies on the replica's disk meanwhile."""
    file_bytes_per_s: int = 1_000
    """A file that arrives more slowly, after `body_s` seconds, is refused with 408."""
    file_errors: int = 1_000
    """Rows of a file that may fail while they are more than half of its rows so far; then it ends."""
    send_s: float = 60.0
    """Seconds that a caller may take to accept a part of a file's answer; then the answer ends."""
    line_bytes: int = 65_536
    """Bytes of one row of a file."""
    texts_per_minute: int = 0
    """Texts that the models read for a key in one replica in a minute; 0: any number. All replicas together
    allow at most this many times their number."""

    def __post_init__(self) -> None:
        if not 1 <= self.inputs <= MOST_INPUTS:
            raise ValueError(f"limits.inputs is {self.inputs}; expected 1 to {MOST_INPUTS}")


class Engine:
    """The models, and their batches. `serve.app` holds one in each replica on Ray Serve; it needs no Ray
    itself.

    Attributes:
        models: by task name; the first one answers requests that name no model. Empty until the first load;
        to swap them, assign: what has begun ends with the model that it began with.
        reload_error: why the models asked for last are not the ones served; None if they are.
    """

    def __init__(
        self,
        models: "Mapping[str, Predictor]",
        *,
        batch_tokens: int = BATCH_TOKENS,
        meters: Meters | None = None,
    ) -> None:
        self.models = models
        self.reload_error: str | None = None
        self.meters = meters or Meters()
        self.readiness = Readiness(self)
        self.batcher = Batcher(batch_tokens, self._tell, self._tell_waiting)
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._long, self._usual_switch_s = 0, sys.getswitchinterval()

    @property
    def wait_s(self) -> float:
        """Seconds, by estimate, that a text which comes now waits for those before it."""
        return self.batcher.backlog.wait_s

    async def classify(self, model: "Predictor", texts: Sequence[str]) -> list[Outcome]:
        """One prediction, or the exception that the text alone raises, per text and in order. All are by
        `model`, even if `models` changes meanwhile."""
        if sum(map(len, texts)) <= SHORT:
            encoded = model.encode(texts)
        else:
            with self._short_turns():
                loop = asyncio.get_running_loop()
                encoded = await loop.run_in_executor(self._encoding, model.encode, texts)
        return await self.batcher.classify([Item(model, one) for one in encoded])

    @contextlib.contextmanager
    def _short_turns(self) -> Iterator[None]:
        """While long texts are encoded, threads change every millisecond: Python's 5 ms, at each step of
        another request, add up to a second. Not otherwise: under overload the event loop needs them."""
        self._long += 1
        sys.setswitchinterval(SWITCH_S)
        try:
            yield
        finally:
            self._long -= 1
            if not self._long:
                sys.setswitchinterval(self._usual_switch_s)

    def _tell(self, items: Sequence[Item], outcomes: Sequence[Outcome], seconds: float) -> None:
        self.readiness.record(items, outcomes)
        self.meters.observe("tweetelm_batch_tokens", token_count(items))
        self.meters.observe("tweetelm_batch_texts", len(items))
        self.meters.observe("tweetelm_batch_seconds", seconds)

    def _tell_waiting(self, tokens: int) -> None:
        self.meters.set("tweetelm_waiting_tokens", tokens)
