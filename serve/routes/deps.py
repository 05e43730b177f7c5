"""Steps shared by all routes: check texts, look up the model, classify within the deadline, record the
result."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from serve.inference.batcher import Outcome
from serve.inference.engine import Engine
from serve.limits import Limits
from serve.middleware.errors import ApiError
from serve.middleware.gateway import Policy
from serve.middleware.rate_limit import RateLimiter
from serve.middleware.request_context import RequestRecord, record_of

if TYPE_CHECKING:
    from tweetelm.predictor import Prediction, Predictor

LOGGED = 1000
"""Maximum characters of a text in the access log, if texts are logged."""


class RequestContext:
    """One request's access to the models, its limits and its log record."""

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
        """Return `given` as a list of texts.

        Args:
            given: One text or several, from the request.
            param: Name of the field, for errors.

        Raises:
            ApiError: the list is empty or has more than `limits.inputs` texts.
        """
        texts = [given] if isinstance(given, str) else list(given)
        if not texts:
            raise ApiError("empty_input", f"{param} is an empty list; send at least one text", param)
        if len(texts) > self.limits.inputs:
            message = f"{param} has {len(texts)} texts; expected at most {self.limits.inputs}"
            raise ApiError("too_many_inputs", message, param)
        return texts

    def texts(self, given: str | Sequence[str], param: str = "input") -> list[str]:
        """Return `given` as a list of valid texts, for protocols in which one invalid text fails the request.

        Raises:
            ApiError: as in `listed`, or a text is empty or has half of a surrogate pair.
        """
        texts = self.listed(given, param)
        for index, text in enumerate(texts):
            check(text, param if isinstance(given, str) else f"{param}[{index}]")
        return texts

    def reserve(self, reads: int) -> None:
        """Count `reads` texts against the key's rate limit.

        Raises:
            ApiError: the rate limit is exceeded (429).
        """
        if wait_s := self.wait_s(reads):
            message = f"rate limit exceeded: {self.limits.texts_per_minute} texts per minute, key and replica"
            raise ApiError("rate_limit_exceeded", message, retry_after_s=wait_s)

    def wait_s(self, reads: int) -> int:
        """Count `reads` texts against the key's rate limit and return 0, or return the seconds to wait."""
        wait_s = self._rates.wait_s(self.record.key, reads)
        self._reserved += 0 if wait_s else reads
        return wait_s

    def model(self, name: str | None, param: str = "model") -> "tuple[str, Predictor]":
        """Return the name and the model called `name`; without a name, the first model.

        Raises:
            ApiError: the model does not exist (404), or none is loaded yet (503).
        """
        models = self.engine.models
        if not models:
            raise ApiError("unhealthy", "no model is loaded yet")
        name = next(iter(models)) if name is None else name
        if name not in models:
            raise ApiError("model_not_found", f"unknown model; expected {' or '.join(models)}", param)
        return name, models[name]

    async def classify(
        self, name: str, model: "Predictor", texts: Sequence[str], *, kept: bool = True
    ) -> "list[Prediction]":
        """Return a prediction per text, in order.

        Args:
            name: Name of the model.
            model: The model.
            texts: The texts.
            kept: Use the answers kept for this client.

        Raises:
            ApiError: the deadline is exceeded (504).
            Exception: the exception of the first text that failed.
        """
        return _all(await self.outcomes(name, model, texts, kept=kept))

    async def again(self, model: "Predictor", texts: Sequence[str]) -> "list[Prediction]":
        """Return predictions that explain another one, without kept answers; the metrics and the log do not
        count their texts."""
        return _all(await self._within(model, texts, kept=False))

    async def outcomes(
        self, name: str, model: "Predictor", texts: Sequence[str], *, kept: bool = True
    ) -> list[Outcome]:
        """Return a prediction or an exception per text, and record them for the log and the metrics."""
        self._begin(name, model, texts)
        outcomes = await self._within(model, texts, kept=kept)
        done = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
        self._end(name, model, done)
        return outcomes

    async def _within(self, model: "Predictor", texts: Sequence[str], *, kept: bool) -> list[Outcome]:
        """Classify within the deadline; raises a 504 after it."""
        self._reserved -= len(texts)
        assert self._reserved >= 0, "texts were not counted against the rate limit; call reserve() first"
        try:
            async with asyncio.timeout(self.limits.deadline_s):
                return await self.engine.classify(model, texts, self.record.key if kept else None)
        except TimeoutError:
            message = f"no result within {self.limits.deadline_s:g} s; try again"
            raise ApiError("deadline_exceeded", message) from None

    def _begin(self, name: str, model: "Predictor", texts: Sequence[str]) -> None:
        self.record.model, self.record.version = name, model.version
        self.record.texts += len(texts)
        if self.policy.log_texts:
            self.record.kept.extend(text[:LOGGED] for text in texts)

    def _end(self, name: str, model: "Predictor", done: "Sequence[Prediction]") -> None:
        tokens, truncated = sum(found.tokens for found in done), sum(found.truncated for found in done)
        labels: dict[str, int] = {}
        for found in done:
            labels[found.label] = labels.get(found.label, 0) + 1
        self.record.tokens += tokens
        self.record.truncated += truncated
        for label, count in labels.items():
            self.record.labels[label] = self.record.labels.get(label, 0) + count
            self.meters.add("tweetelm_texts_total", count, name, model.version, label)
        self.meters.add("tweetelm_tokens_total", tokens, name)
        if truncated:
            self.meters.add("tweetelm_truncated_total", truncated, name)


async def _ask(request: Request) -> RequestContext:
    """Asynchronous: FastAPI would construct a class in a thread, which is slower."""
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
    """Check that a text is not empty and is valid Unicode.

    Raises:
        ApiError: the text is empty, or has half of a surrogate pair.
    """
    if not text or text.isspace():
        raise ApiError("empty_input", f"{param} is empty; send a text", param)
    try:
        text.encode()
    except UnicodeEncodeError:
        message = f"{param} has half of a surrogate pair; send valid Unicode"
        raise ApiError("invalid_type", message, param) from None
