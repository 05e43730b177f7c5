"""The service on Ray Serve: `serve deploy serve/config.yaml` and `python -m serve` both run `build(args)`."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application, Deployment
from ray.serve.config import AutoscalingConfig, BackpressureConfig

from serve.api import create_api
from serve.batch import Item, classify_each, predictions, token_count
from serve.settings import Settings, UserConfig, read

if TYPE_CHECKING:  # the process that only deploys imports no torch
    from serve.models import Loaded
    from tweetelm.predictor import Prediction, Predictor

logger = logging.getLogger("ray.serve")
NAME = "tweetelm"
STUCK_AFTER_S = 60.0


class TweetClassifier:
    """A replica: engine and routes in one; a call between them would cost more than the routes do."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reload_error: str | None = None
        self._loaded: dict[str, Loaded] = {}
        self._running_since: float | None = None
        batch: Any = self._batch  # Ray Serve adds the setters
        batch.set_max_batch_size(settings.batch_tokens)
        batch.set_batch_wait_timeout_s(settings.batch_wait_s)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_api(self, limits=self.settings.limits, answer_request_id=False)

    @property
    def models(self) -> "Mapping[str, Predictor]":
        return {task: loaded.predictor for task, loaded in self._loaded.items()}

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Loads the models in a thread, then swaps all of them at once.

        The first load may raise, and the replica does not start. Later an error only shows in the log and in
        /info: Ray Serve takes down every replica whose `reconfigure` raises.
        """
        try:
            self._loaded = await asyncio.to_thread(self._load, user_config)
            self.reload_error = None
        except Exception as error:
            if not self._loaded:
                raise
            logger.exception("the models of the new configuration could not be loaded; the old ones go on")
            self.reload_error = f"{type(error).__name__} while loading the new configuration; see the log"

    def _load(self, user_config: dict[str, Any]) -> "dict[str, Loaded]":
        import torch

        from serve.models import load

        if self.settings.threads:
            torch.set_num_threads(self.settings.threads)
        return load(
            self.settings.tasks,
            url=self.settings.registry,
            versions=UserConfig(**user_config).versions,
            device=self.settings.device,
            precision=self.settings.precision,
            loaded=self._loaded,
        )

    async def classify(self, model: "Predictor", texts: Sequence[str]) -> "list[Prediction]":
        """See `serve.engine.Engine`."""
        budget = self.settings.batch_tokens
        encoded = await asyncio.to_thread(model.encode, texts)
        items = [Item.of(model, one, budget=budget) for one in encoded]
        return predictions(await asyncio.gather(*(self._batch(item) for item in items)))

    @serve.batch(max_batch_size=4096, batch_wait_timeout_s=0.005, batch_size_fn=token_count)
    async def _batch(self, items: list[Item]) -> "list[Prediction | Exception]":
        """Items of all waiting requests, up to `batch_tokens`; the event loop stays free meanwhile."""
        self._running_since = time.monotonic()
        try:
            return await asyncio.to_thread(classify_each, items)
        finally:
            self._running_since = None

    def check_health(self) -> None:
        """Ray Serve replaces a replica whose forward pass never ends; a busy one is not ill."""
        since = self._running_since
        if since is not None and time.monotonic() - since > STUCK_AFTER_S:
            raise RuntimeError(f"a forward pass has been running for more than {STUCK_AFTER_S:g} s")
        if not self._loaded:
            raise RuntimeError("no model is loaded: the deployment needs a user_config, {} at least")


def deployment(settings: Settings, replica: type[TweetClassifier] = TweetClassifier) -> Deployment:
    """How replicas are run, watched and scaled."""
    autoscaling = AutoscalingConfig(
        min_replicas=settings.min_replicas,
        max_replicas=settings.max_replicas,
        target_ongoing_requests=16,
        upscale_delay_s=5,
        downscale_delay_s=120,
        look_back_period_s=15,
    )
    return serve.deployment(
        name=TweetClassifier.__name__,
        autoscaling_config=autoscaling,
        max_ongoing_requests=64,
        max_queued_requests=128,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=1),
        health_check_period_s=5,
        health_check_timeout_s=10,
        graceful_shutdown_wait_loop_s=0.5,
        graceful_shutdown_timeout_s=20,
        max_surge_percent=100,
        ray_actor_options={"num_cpus": settings.cpus, "num_gpus": settings.gpus},
        user_config={},
    )(serve.ingress()(replica))


def build(args: dict[str, Any]) -> Application:
    """The application that `args`, the values of a `Settings`, describe."""
    settings = read(args)
    return deployment(settings).bind(settings)
