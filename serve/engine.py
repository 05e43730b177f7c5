"""What the routes ask: the models, and what one request may ask of them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serve.batch import Item, Outcome
from serve.batcher import Batcher
from serve.metrics import Meters

if TYPE_CHECKING:  # only types: the routes import no torch
    from tweetelm.predictor import Predictor

BATCH_TOKENS = 2048
SHORT = 4000  # characters that are encoded at once, without another thread, which would take longer


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may ask for, and what one replica takes on."""

    inputs: int = 32
    """Texts in one request."""
    body_bytes: int = 2_000_000
    body_s: float = 10.0
    """Seconds within which a request's body must be there; of a file, each part of it."""
    deadline_s: float = 20.0
    """Seconds until a request is answered with 504."""
    concurrent: int = 256
    """Requests in one replica; more are refused with 429."""
    wait_s: float = 10.0
    """Seconds of work, by estimate, that may wait in one replica; more is refused with 429."""
    files: int = 2
    """Files that one replica reads at a time."""
    file_bytes: int = 1_000_000_000
    """Bytes of a file, which lies on the replica's disk meanwhile."""
    line_bytes: int = 65_536
    """Bytes of one row of a file."""
    texts_per_minute: int = 0
    """Texts that a key may send to one replica in a minute; 0: any number. All replicas together allow at
    most this many times their number."""


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
        self.batcher = Batcher(batch_tokens, self._tell)

    @property
    def wait_s(self) -> float:
        """Seconds, by estimate, that a text which comes now waits for those before it."""
        return self.batcher.backlog.wait_s

    async def classify(self, model: "Predictor", texts: Sequence[str]) -> list[Outcome]:
        """One prediction, or the exception that the text alone raises, per text and in order. All are by
        `model`, even if `models` changes meanwhile."""
        short = sum(map(len, texts)) <= SHORT
        encoded = model.encode(texts) if short else await asyncio.to_thread(model.encode, texts)
        return await self.batcher.classify([Item(model, one) for one in encoded])

    def _tell(self, tokens: int, texts: int, seconds: float) -> None:
        self.meters.observe("tweetelm_batch_tokens", tokens)
        self.meters.observe("tweetelm_batch_texts", texts)
        self.meters.observe("tweetelm_batch_seconds", seconds)
        self.meters.set("tweetelm_waiting_tokens", self.batcher.backlog.tokens)
