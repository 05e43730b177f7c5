"""What the routes ask of whatever holds the models: `serve.app` on Ray Serve, `LocalEngine` right here."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from serve.batch import Item, classify_each, predictions

if TYPE_CHECKING:  # only types: the routes import no torch
    from tweetelm.predictor import Prediction, Predictor


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may ask for."""

    inputs: int = 32
    """Texts in one request."""
    body_bytes: int = 2_000_000
    deadline_s: float = 20.0
    """Seconds until a request is answered with 504."""


class Engine(Protocol):
    """Holds the models and runs them."""

    @property
    def models(self) -> "Mapping[str, Predictor]":
        """By task name; the first one answers requests that name no model. Empty until the first load."""

    @property
    def reload_error(self) -> str | None:
        """Why the models asked for last are not the ones served; None if they are."""

    async def classify(self, model: "Predictor", texts: Sequence[str]) -> "list[Prediction]":
        """One prediction per text, in order, all by `model`, even if `models` changes meanwhile.

        Raises:
            Exception: the model failed on one of these texts; other requests in its batch are not affected.
        """


class LocalEngine:
    """The models in this process, one request at a time: for tests and for serving without Ray."""

    def __init__(self, models: "Mapping[str, Predictor]") -> None:
        self.models = models
        self.reload_error: str | None = None

    async def classify(self, model: "Predictor", texts: Sequence[str]) -> "list[Prediction]":
        return await asyncio.to_thread(self._classify, model, texts)

    @staticmethod
    def _classify(model: "Predictor", texts: Sequence[str]) -> "list[Prediction]":
        return predictions(classify_each([Item.of(model, encoded) for encoded in model.encode(texts)]))
