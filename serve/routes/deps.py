"""What every protocol's route does with its texts: check them, find the model, run it within the deadline,
and write down what came out."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from serve.inference.batch import Outcome
from serve.inference.engine import Engine, Limits
from serve.middleware.errors import ApiError
from serve.middleware.gateway import Policy
from serve.middleware.rate_limit import RateLimiter
from serve.middleware.request_context import RequestRecord, record_of

if TYPE_CHECKING:
    from tweetelm.predictor import Prediction, Predictor

LOGGED = 1000
"""Characters of a text that the log keeps, where it keeps texts."""


class RequestContext:
    """One request's way to the models."""

    def __init__(self, request: Request) -> None:
        state = request.app.state
        self.engine: Engine = state.engine
        self.policy: Policy = state.policy
        self.meters = self.engine.meters
        self._rates: RateLimiter = state.rates
        self.record: RequestRecord = record_of(request.scope)
        self._reserved = 0

    @property
    def limits(self) -> Limits:
        return self.policy.limits

    def listed(self, given: str | Sequence[str], param: str = "input") -> list[str]:
        """`given` as a list, not empty and not too long.

        Args:
            given: what the request holds.
            param: its name there, for errors.

        Raises:
            ApiError: there is no text, or too many.
        """
        texts = [given] if isinstance(given, str) else list(given)
        if not texts:
            raise ApiError("empty_input", f"{param} is an empty list; send at least one text", param)
        if len(texts) > self.limits.inputs:
            message = f"{param} has {len(texts)} texts; at most {self.limits.inputs} are answered at a time"
            raise ApiError("too_many_inputs", message, param)
        return texts

    def texts(self, given: str | Sequence[str], param: str = "input") -> list[str]:
        """The same, each of them a text; for protocols in which one bad text fails the whole request.

        Raises:
            ApiError: as `listed`, or a text is empty or not of whole characters.
        """
        texts = self.listed(given, param)
        for place, text in enumerate(texts):
            check(text, param if isinstance(given, str) else f"{param}[{place}]")
        return texts

    def reserve(self, reads: int) -> None:
        """Count what the models are going to read against the key's rate.

        Raises:
            ApiError: the key has had too many texts read lately.
        """
        if wait_s := self.wait_s(reads):
            message = (
                f"the models read {self.limits.texts_per_minute} texts a minute of this key in one replica"
            )
            raise ApiError("rate_limit_exceeded", message, retry_after_s=wait_s)

    def wait_s(self, reads: int) -> int:
        """Counts so many texts against the key's rate, or gives the seconds until it allows them."""
        wait_s = self._rates.wait_s(self.record.key, reads)
        self._reserved += 0 if wait_s else reads
        return wait_s

    def model(self, name: str | None, param: str = "model") -> "tuple[str, Predictor]":
        """The model called `name`, or the first one.

        Raises:
            ApiError: there is none.
        """
        models = self.engine.models
        if not models:
            raise ApiError("unhealthy", "no model is loaded yet")
        name = next(iter(models)) if name is None else name
        if name not in models:
            raise ApiError("model_not_found", f"no such model here; there is {' and '.join(models)}", param)
        return name, models[name]

    async def classify(self, name: str, model: "Predictor", texts: Sequence[str]) -> "list[Prediction]":
        """The predictions.

        Raises:
            ApiError: they are not there within the deadline.
            Exception: the first of the texts that failed.
        """
        return _all(await self.outcomes(name, model, texts))

    async def again(self, model: "Predictor", texts: Sequence[str]) -> "list[Prediction]":
        """Predictions that serve to explain another one: they count as no texts of the caller's."""
        return _all(await self._within(model, texts))

    async def outcomes(self, name: str, model: "Predictor", texts: Sequence[str]) -> list[Outcome]:
        """A prediction or an exception for each text, written down for the log and the metrics."""
        self._begin(name, model, texts)
        outcomes = await self._within(model, texts)
        done = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
        self._end(name, model, done)
        return outcomes

    async def _within(self, model: "Predictor", texts: Sequence[str]) -> list[Outcome]:
        """The engine's answer, or 504 when it is not there within the deadline."""
        self._reserved -= len(texts)
        assert self._reserved >= 0, "texts go to a model that were not counted against the key's rate"
        try:
            async with asyncio.timeout(self.limits.deadline_s):
                return await self.engine.classify(model, texts)
        except TimeoutError:
            message = f"no answer within {self.limits.deadline_s:g} s; try again"
            raise ApiError("deadline_exceeded", message) from None

    def _begin(self, name: str, model: "Predictor", texts: Sequence[str]) -> None:
        self.record.model, self.record.version = name, model.version
        self.record.texts += len(texts)
        if self.policy.log_texts:
            self.record.kept.extend(text[:LOGGED] for text in texts)

    def _end(self, name: str, model: "Predictor", done: "Sequence[Prediction]") -> None:
        tokens, truncated = sum(one.tokens for one in done), sum(one.truncated for one in done)
        labels: dict[str, int] = {}
        for one in done:
            labels[one.label] = labels.get(one.label, 0) + 1
        self.record.tokens += tokens
        self.record.truncated += truncated
        for label, count in labels.items():
            self.record.labels[label] = self.record.labels.get(label, 0) + count
            self.meters.add("tweetelm_texts_total", count, name, model.version, label)
        self.meters.add("tweetelm_tokens_total", tokens, name)
        if truncated:
            self.meters.add("tweetelm_truncated_total", truncated, name)


async def _ask(request: Request) -> RequestContext:
    """Asynchronous, for FastAPI would call a class in another thread, which takes longer than all of it."""
    return RequestContext(request)


Asking = Annotated[RequestContext, Depends(_ask)]


def _all(outcomes: Sequence[Outcome]) -> "list[Prediction]":
    found = []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        found.append(outcome)
    return found


def check(text: str, param: str) -> None:
    """See that a text is one.

    Raises:
        ApiError: it is empty, or not of whole characters.
    """
    if not text or text.isspace():
        raise ApiError("empty_input", f"{param} is empty; send some text", param)
    try:
        text.encode()
    except UnicodeEncodeError:
        message = f"{param} holds half of a surrogate pair; send whole characters"
        raise ApiError("invalid_type", message, param) from None
