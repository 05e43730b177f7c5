"""The Ray Serve application: `serve deploy serve/config.yaml` and `python -m serve` both call
`build(args)`."""

import asyncio
import contextlib
import gc
import logging
import os
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application, Deployment
from ray.serve.config import AutoscalingConfig, BackpressureConfig
from ray.serve.schema import LoggingConfig

from serve.api import create_api
from serve.inference.batcher import STUCK_AFTER_S, run_apart
from serve.inference.engine import Engine
from serve.middleware.auth import Keys, ensure_guarded, ensure_keyed
from serve.middleware.gateway import Policy
from serve.middleware.load_shedding import LoadShedding
from serve.observability.metrics import Meters
from serve.observability.ray_metrics import RaySink
from serve.observability.request_log import log_beside_ray_serve
from serve.settings import Settings, UserConfig, read
from tweetelm.cli import allocator

if TYPE_CHECKING:  # the deploying process does not import torch
    from serve.inference.model_loader import Loaded

logger = logging.getLogger("ray.serve")
NAME = "tweetelm"
GC_THRESHOLD = 20_000  # with Python's default of 700, a busy replica spends 10% of its time in GC


class TweetClassifier:
    """One replica: engine and routes in one process, since a call between two would cost more than the
    routes."""

    def __init__(self, settings: Settings) -> None:
        from serve.inference import model_loader  # torch, which the process that only deploys does not need

        self._loader = model_loader
        self.settings = settings
        self._keys = Keys.of(os.environ)
        ensure_keyed(settings.keys_needed, self._keys)
        context = serve.get_replica_context()
        replica = context.replica_id.unique_id
        log_beside_ray_serve(
            {"application": context.app_name, "deployment": context.deployment, "replica": replica}
        )
        gc.set_threshold(GC_THRESHOLD)
        meters = Meters(RaySink(replica))
        budget = model_loader.batch_tokens(settings.device, settings.batch_tokens)
        self.engine = Engine(
            {},
            batch_tokens=budget,
            meters=meters,
            answers=settings.answers,
            clients=lambda: self._keys.clients,
        )
        self._wanted = UserConfig.model_validate({})
        self._loaded: dict[str, Loaded] = {}
        self._watcher: asyncio.Task[None] | None = None

    def __serve_build_asgi_app__(self) -> FastAPI:
        policy = Policy(
            limits=self.settings.limits,
            keys=self._keys,
            answer_request_id=False,
            log_texts=self.settings.log_texts,
            cors_origins=self.settings.cors_origins,
        )
        api = create_api(self.engine, policy=policy)
        LoadShedding.gateway, LoadShedding.api = api.state.gateway, api
        return api

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Load the models in a thread, then swap all of them at once.

        Ray Serve stops every replica whose `reconfigure` raises. So only the first load raises; later errors
        are reported in the log, the metrics and /info, and the previous models stay loaded.

        Raises:
            Exception: the first load failed, and so did the fallback versions.
        """
        try:
            wanted = UserConfig(**user_config)
            await self._swap(wanted)
            self._wanted = wanted
        except Exception as error:  # noqa: BLE001 — any failed load keeps the last good models
            if not self._loaded:
                await self._start_with_fallback(error)
            self._refuse(error)
        if self._watcher is None and self.settings.watch_s:
            self._watcher = asyncio.create_task(self._watch(self.settings.watch_s))

    async def _start_with_fallback(self, error: Exception) -> None:
        """Load the current versions, else the previous ones, when the requested versions cannot be loaded.

        A replica that replaces a dead one must start, so that the service keeps its capacity.

        Raises:
            Exception: `error`, if the fallback versions cannot be loaded either.
        """
        for versions in await asyncio.to_thread(
            self._loader.last_good, self.settings.tasks, url=self.settings.registry
        ):
            with contextlib.suppress(Exception):
                return await self._swap(UserConfig(versions=versions, reload=None))
        raise error

    async def _swap(self, wanted: UserConfig) -> None:
        """Load the requested models; requests in flight finish with the models they started with."""
        before = self._versions()
        try:
            self._loaded = await run_apart(lambda: self._load(wanted))
            self.engine.models = {task: loaded.predictor for task, loaded in self._loaded.items()}
        finally:
            await asyncio.to_thread(allocator.release)
        self.engine.reload_error = None
        self.engine.meters.set("tweetelm_reload_failed", 0)
        now = self._versions()
        for task, version in before | now:
            self.engine.meters.set("tweetelm_serving", float((task, version) in now), task, version)

    def _versions(self) -> set[tuple[str, str]]:
        return {(task, model.version) for task, model in self.engine.models.items()}

    def _refuse(self, error: Exception) -> None:
        logger.exception(
            "loading the requested models failed; still serving the last good ones", exc_info=error
        )
        self.engine.reload_error = f"{type(error).__name__} while loading the requested models; see the log"
        self.engine.meters.set("tweetelm_reload_failed", 1)

    async def _watch(self, every_s: float) -> None:
        """Poll the registry and load each promoted or rolled-back version; keep the models if loading
        fails."""
        refused: dict[str, str | None] = {}
        while True:
            await asyncio.sleep(every_s)
            tasks = [task for task in self.settings.tasks if task not in self._wanted.versions]
            with contextlib.suppress(OSError, ValueError):  # the registry is unreachable for now
                now = await asyncio.to_thread(self._loader.published, tasks, url=self.settings.registry)
                serving = {task: self._loaded[task].predictor.version for task in tasks}
                if now == refused or (now == serving and not refused):
                    continue
                try:
                    await self._swap(self._wanted)
                    refused = {}
                except Exception as error:  # noqa: BLE001 — any failed load keeps the last good models
                    refused = now
                    self._refuse(error)

    def _load(self, wanted: UserConfig) -> "dict[str, Loaded]":
        return self._loader.load(
            self.settings.tasks,
            url=self.settings.registry,
            versions=wanted.versions,
            device=self.settings.device,
            precision=self.settings.precision,
            threads=self.settings.threads,
            loaded=self._loaded,
        )

    def check_health(self) -> None:
        """Tell Ray Serve whether to replace this replica. A busy replica is healthy.

        Raises:
            RuntimeError: a forward pass hangs, or no model is loaded.
        """
        if self.engine.batcher.is_stuck:
            raise RuntimeError(f"a forward pass has been running for more than {STUCK_AFTER_S:g} s")
        if not self._loaded:
            raise RuntimeError("no model is loaded; the deployment needs a user_config, at least {}")


def deployment(settings: Settings, replica: type[TweetClassifier] = TweetClassifier) -> Deployment:
    """Configure how replicas run, report their health and scale.

    A full replica rejects requests itself, in the error format of each route. Ray Serve's own limits are
    twice as high and apply only to requests that get past that check.
    """
    return serve.deployment(
        name=TweetClassifier.__name__,
        autoscaling_config=_autoscaling(settings),
        max_ongoing_requests=2 * settings.limits.concurrent,
        max_queued_requests=2 * settings.limits.concurrent,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=1),
        health_check_period_s=5,
        health_check_timeout_s=10,
        graceful_shutdown_wait_loop_s=0.5,
        graceful_shutdown_timeout_s=settings.limits.deadline_s + 5,
        max_surge_percent=100,
        ray_actor_options={
            "num_cpus": settings.cpus,
            "num_gpus": settings.gpus,
            "runtime_env": {"env_vars": {} if settings.gpus else allocator.preloaded()},
        },
        user_config={},
        # The API writes its own access log.
        logging_config=LoggingConfig(encoding="JSON", enable_access_log=False),
    )(serve.ingress()(replica))


def _autoscaling(settings: Settings) -> AutoscalingConfig:
    return AutoscalingConfig(
        min_replicas=settings.min_replicas,
        initial_replicas=max(1, settings.min_replicas),
        max_replicas=settings.max_replicas,
        target_ongoing_requests=settings.target_ongoing_requests,
        upscale_delay_s=settings.upscale_delay_s,
        downscale_delay_s=settings.downscale_delay_s,
        look_back_period_s=max(settings.upscale_delay_s, _reported_every_s() + 0.5),
    )


def _reported_every_s() -> float:
    """Return the push interval of Ray's autoscaling metrics; the look-back period must be longer."""
    names = ("REPLICA", "HANDLE")
    return max(
        float(os.environ.get(f"RAY_SERVE_{n}_AUTOSCALING_METRIC_PUSH_INTERVAL_S", "10")) for n in names
    )


def build(args: dict[str, Any]) -> Application:
    """Build the application from `args`, the fields of `Settings`.

    Raises:
        ValueError: a value is invalid, or other machines can reach the service and there are no API keys.
        FileNotFoundError: no task has a published version.
    """
    settings = guarded(read(args), _host(), Keys.of(os.environ))
    return deployment(settings).bind(settings)


def guarded(settings: Settings, host: str, keys: Keys) -> Settings:
    """Return the settings with `keys_needed` set where this process has API keys.

    A replica on a node without keys then refuses to start instead of accepting every client.

    Raises:
        ValueError: other machines can reach `host`, and there are no API keys.
    """
    ensure_guarded(host, keys)
    return settings.model_copy(update={"keys_needed": settings.keys_needed or keys.needed})


def _host() -> str:
    """Return the host on which Ray Serve listens, or 127.0.0.1 before it starts."""
    from ray.serve.context import _get_global_client

    client = _get_global_client(raise_if_no_controller_running=False)
    return client.http_config.host if client else "127.0.0.1"
