"""What a deployment may choose: `args` of the application and `user_config` of its deployment."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from serve.inference.engine import Limits
from tweetelm import registry as versions
from tweetelm.files.paths import expanded
from tweetelm.tasks import TASKS, TaskName

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s@]+", re.IGNORECASE)


class Settings(BaseModel):
    """`args` of the application; a change of them restarts the replicas."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    registry: str = Field("models", description="Published models: a folder that every node sees, or a URL.")
    tasks: tuple[TaskName, ...] = Field((), description="By default every task with a published version.")
    device: str = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"
    cpus: float = Field(1, gt=0, description="CPUs that one replica reserves.")
    gpus: float = Field(0, ge=0, description="GPUs that one replica reserves.")
    threads: int | None = Field(
        None, ge=1, description="Threads of a forward pass; by default one per CPU reserved."
    )
    min_replicas: int = Field(1, ge=0, description="0: none when idle; the next request waits.")
    max_replicas: int = Field(4, ge=1)
    target_ongoing_requests: float = Field(16, gt=0, description="Requests in a replica; more start another.")
    upscale_delay_s: float = Field(3, ge=0)
    downscale_delay_s: float = Field(60, ge=0)
    batch_tokens: int | None = Field(
        None, ge=1, description="Tokens in one forward pass; by default what the device does best with."
    )
    limits: Limits = Limits()
    watch_s: float = Field(
        5, ge=0, description="How often the registry is asked for what is published now; 0: never."
    )
    log_texts: bool = Field(False, description="Write the texts themselves into the access log.")
    cors_origins: tuple[str, ...] = Field(
        (), description="Pages of other origins that may ask, as https://example.org; * is any."
    )
    keys_needed: bool = Field(
        False, description="Refuse to start a replica without API keys; set by itself where keys are found."
    )

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin; expected a scheme and a host, as https://example.org or "
                    "http://localhost:3000, without a path or a slash at the end"
                )
        return origins


class UserConfig(BaseModel):
    """`user_config` of the deployment: any change of it makes the replicas look into the registry again."""

    model_config = ConfigDict(extra="forbid")

    versions: dict[str, str] = Field({}, description="A version by task, in place of the published one.")
    reload: str | None = Field(None, description="Any text; a new one loads what is published now.")


def read(args: Mapping[str, Any]) -> Settings:
    """`args` checked, and with the tasks filled in.

    Raises:
        ValueError: a key is unknown or a value does not fit.
        FileNotFoundError: no tasks are named, and no task has a published version.
    """
    settings = Settings(**args)
    registry = expanded(settings.registry)
    tasks = settings.tasks or _published(registry)
    return settings.model_copy(update={"tasks": tasks, "registry": registry})


def _published(url: str) -> tuple[str, ...]:
    found = tuple(task for task in TASKS if versions.current_version(task, registry=url))
    if not found:
        raise FileNotFoundError(
            f"nothing is published in {url}; expected a model of {' or '.join(TASKS)}: "
            "train one with `python -m ray_jobs.train --task hate`"
        )
    return found
