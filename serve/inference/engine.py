"""The loaded models and their batcher."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from serve.inference.answers import AnswerStore
from serve.inference.batcher import Batcher, Item, Outcome, token_count
from serve.inference.readiness import Readiness
from serve.limits import ANSWERS
from serve.observability.metrics import Meters

if TYPE_CHECKING:  # types only: the routes do not import torch
    from tweetelm.encoding import Encoded
    from tweetelm.predictor import Predictor

BATCH_TOKENS = 2048
SWITCH_S = 0.001
SHORT = 4000  # characters encoded on the event loop: milliseconds at worst, less than a thread switch


class Engine:
    """Encodes texts and classifies them in batches. Each Ray Serve replica has one; it does not need Ray.

    Attributes:
        models: Predictors by task name; the first one answers requests that name no model. Empty until the
            first load. Assign a new mapping to swap models: running requests finish with the old ones.
        reload_error: Why the last requested models are not the ones served; None if they are.
    """

    def __init__(
        self,
        models: "Mapping[str, Predictor]",
        *,
        batch_tokens: int = BATCH_TOKENS,
        meters: Meters | None = None,
        answers: int = ANSWERS,
        clients: Callable[[], int] = lambda: 1,
    ) -> None:
        """Args:
        models: Predictors by task name.
        batch_tokens: Maximum tokens in a batch.
        meters: Records metrics.
        answers: Maximum number of answers kept per model; 0: none.
        clients: Returns the number of API keys that share them.
        """
        self.meters = meters or Meters()
        self.answers = AnswerStore(answers, clients=clients, meters=self.meters)
        self.models = models
        self.reload_error: str | None = None
        self.readiness = Readiness(self)
        self.batcher = Batcher(batch_tokens, self._record_batch, self._record_backlog)
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._long, self._usual_switch_s = 0, sys.getswitchinterval()

    @property
    def models(self) -> "Mapping[str, Predictor]":
        return self._models

    @models.setter
    def models(self, models: "Mapping[str, Predictor]") -> None:
        self._models = models
        self.answers.serve(models)

    @property
    def wait_s(self) -> float:
        """Estimated queueing time of a new text in seconds."""
        return self.batcher.backlog.wait_s

    async def classify(
        self, model: "Predictor", texts: Sequence[str], client: str | None = None
    ) -> list[Outcome]:
        """Classify `texts` with `model`, even if `models` changes meanwhile.

        Args:
            model: The model.
            texts: The texts.
            client: Name of the client whose kept answers are used; None: the model reads every text.

        Returns:
            Per text and in order, its prediction, or the exception that the text alone raises.
        """
        encoded = await self._encode(model, texts)
        return await self.answers.classify(model, encoded, client, self.batcher.classify)

    async def _encode(self, model: "Predictor", texts: Sequence[str]) -> "list[Encoded]":
        if sum(map(len, texts)) <= SHORT:
            return model.encode(texts)
        with self._short_turns():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._encoding, model.encode, texts)

    @contextlib.contextmanager
    def _short_turns(self) -> Iterator[None]:
        """Set Python's thread switch interval to 1 ms while long texts are encoded.

        With the default of 5 ms, the delays at each step of a concurrent request add up to a second. The
        default stays in effect otherwise: under overload the event loop needs the longer interval.
        """
        self._long += 1
        sys.setswitchinterval(SWITCH_S)
        try:
            yield
        finally:
            self._long -= 1
            if not self._long:
                sys.setswitchinterval(self._usual_switch_s)

    def _record_batch(self, items: Sequence[Item], outcomes: Sequence[Outcome], seconds: float) -> None:
        self.readiness.record(items, outcomes)
        self.meters.observe("tweetelm_batch_tokens", token_count(items))
        self.meters.observe("tweetelm_batch_texts", len(items))
        self.meters.observe("tweetelm_batch_seconds", seconds)

    def _record_backlog(self, tokens: int) -> None:
        self.meters.set("tweetelm_waiting_tokens", tokens)
