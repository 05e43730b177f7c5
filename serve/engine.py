"""What the routes ask of whatever holds the models: `serve.app` on Ray Serve, `LocalEngine` right here."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from serve.batch import Item, Outcome, classify_each

if TYPE_CHECKING:  # only types: the routes import no torch
    from tweetelm.predictor import Predictor


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
    wait_s: float = 5.0
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


class Engine(Protocol):
    """Holds the models and runs them."""

    @property
    def models(self) -> "Mapping[str, Predictor]":
        """By task name; the first one answers requests that name no model. Empty until the first load."""

    @property
    def reload_error(self) -> str | None:
        """Why the models asked for last are not the ones served; None if they are."""

    @property
    def wait_s(self) -> float:
        """Seconds, by estimate, that a text which comes now waits for those before it."""

    async def classify(self, model: "Predictor", texts: Sequence[str]) -> list[Outcome]:
        """One prediction, or the exception that the text alone raises, per text and in order. All are by
        `model`, even if `models` changes meanwhile."""


class LocalEngine:
    """The models in this process, one request at a time: for tests and for serving without Ray."""

    wait_s = 0.0

    def __init__(self, models: "Mapping[str, Predictor]") -> None:
        self.models = models
        self.reload_error: str | None = None

    async def classify(self, model: "Predictor", texts: Sequence[str]) -> list[Outcome]:
        return await asyncio.to_thread(self._classify, model, texts)

    @staticmethod
    def _classify(model: "Predictor", texts: Sequence[str]) -> list[Outcome]:
        return classify_each([Item.of(model, encoded) for encoded in model.encode(texts)])
