"""Reference servers on uvicorn and FastAPI: `python -m benchmarks.peers KIND --port P`.

noop: the route without a model. pipeline: a transformers pipeline in float32, one call per request, as in
tutorials. batched: the same pipeline, tuned: a queue collects up to 32 texts for 10 ms, sorts them by length
and runs them in bfloat16.
"""

import argparse
import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import uvicorn
from fastapi import FastAPI

from serve.routes.schemas import ClassifyRequest
from tweetelm.precision import pick_device

BATCH = 32
WAIT_S = 0.01
Scores = list[dict[str, Any]]
Answer = Callable[[str], Awaitable[Scores]]


async def constant(_: str) -> Scores:
    """The same scores for every text."""
    return [{"label": "not-hate", "score": 0.75}, {"label": "hate", "score": 0.25}]


def load_pipeline(folder: str, dtype: str) -> Callable[..., list[Scores]]:
    """A pipeline that returns the scores of all labels for each text of a list."""
    from transformers import pipeline

    import tweetelm.openelm  # noqa: F401 — registers the architecture with transformers

    found: Any = pipeline("text-classification", model=folder, top_k=None, dtype=dtype, device=pick_device())
    return found  # type: ignore[no-any-return]


def one_by_one(pipe: Callable[..., list[Scores]]) -> Answer:
    """One pipeline call per request, one at a time.

    Concurrent calls would only share the CPU, and a fast tokenizer raises when two threads use it at once.
    """
    lock = threading.Lock()

    def call(text: str) -> Scores:
        with lock:
            return pipe([text])[0]

    return lambda text: asyncio.to_thread(call, text)


class Batches:
    """Batches the texts of concurrent requests."""

    def __init__(self, pipe: Callable[..., list[Scores]]) -> None:
        self.pipe = pipe
        self.queue: asyncio.Queue[tuple[str, asyncio.Future[Scores]]] = asyncio.Queue()

    async def answer(self, text: str) -> Scores:
        future: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
        await self.queue.put((text, future))
        return await future

    async def run(self) -> None:
        """Classify batches until cancelled."""
        while True:
            waiting = [await self.queue.get()]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    while len(waiting) < BATCH:
                        waiting.append(await self.queue.get())
            found = await asyncio.to_thread(self._classify, [text for text, _ in waiting])
            for (_, future), scores in zip(waiting, found, strict=True):
                if not future.done():
                    future.set_result(scores)

    def _classify(self, texts: Sequence[str]) -> list[Scores]:
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        found = self.pipe([texts[index] for index in order], batch_size=BATCH)
        return [scores for _, scores in sorted(zip(order, found, strict=True), key=lambda pair: pair[0])]


def create(answer: Answer, background: Callable[[], Any] | None = None) -> FastAPI:
    """The classify route, with responses in the format of our API."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(background()) if background else None
        yield
        if task:
            task.cancel()

    api = FastAPI(lifespan=lifespan)

    @api.post("/v1/classify")
    async def classify(body: ClassifyRequest) -> dict[str, Any]:
        assert isinstance(body.input, str)
        scores = await answer(body.input)
        best = max(scores, key=lambda one: float(one["score"]))
        data = {"index": 0, "label": best["label"], "probs": [one["score"] for one in scores]}
        data |= {"num_classes": len(scores), "threshold": None, "truncated": False, "version": "peer"}
        usage = {"prompt_tokens": 3, "total_tokens": 3, "completion_tokens": 0, "prompt_tokens_details": None}
        identity = {"id": f"classify-{uuid.uuid4().hex}", "object": "list", "created": int(time.time())}
        return identity | {"model": "hate", "data": [data], "usage": usage}

    @api.get("/ready")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    return api


def application(kind: str, model: str | None) -> FastAPI:
    if kind == "noop":
        return create(constant)
    assert model is not None
    if kind == "pipeline":
        return create(one_by_one(load_pipeline(model, "float32")))
    batches = Batches(load_pipeline(model, "bfloat16"))
    return create(batches.answer, batches.run)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["noop", "pipeline", "batched"], help="kind of server")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument("--model", help="folder of the model (pipeline, batched)")
    arguments = parser.parse_args()
    api = application(arguments.kind, arguments.model)
    uvicorn.run(api, port=arguments.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
