"""Settings of a deployment: `args` of the application and `user_config` of its deployment."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from serve.limits import ANSWERS, Limits
from tweetelm import registry as versions
from tweetelm.files.names import check_name
from tweetelm.files.paths import expanded

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s@]+", re.IGNORECASE)


Precision = Literal["auto", "int8", "bf16", "float32"]


class Settings(BaseModel):
    """`args` of the application; a change restarts the replicas."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    registry: str = Field(
        "models", description="Model registry: a folder that every node can read, or a URL."
    )
    tasks: tuple[str, ...] = Field(
        (), description="Tasks to serve. Default: every task with a published version."
    )
    device: str = "auto"
    precision: Precision = Field("auto", description="As for `tweetelm.load`.")
    cpus: float = Field(1, gt=0, description="CPUs that one replica reserves.")
    gpus: float = Field(0, ge=0, description="GPUs that one replica reserves.")
    threads: int | None = Field(
        None, ge=1, description="Threads of a forward pass. Default: one per reserved CPU."
    )
    min_replicas: int = Field(
        1, ge=0, description="0: scale to zero when idle; the next request waits for a replica."
    )
    max_replicas: int = Field(4, ge=1)
    target_ongoing_requests: float = Field(16, gt=0, description="Autoscaling target: requests per replica.")
    upscale_delay_s: float = Field(3, ge=0)
    downscale_delay_s: float = Field(60, ge=0)
    batch_tokens: int | None = Field(
        None, ge=1, description="Maximum tokens in one forward pass. Default: chosen by device."
    )
    answers: int = Field(
        ANSWERS,
        ge=0,
        description="Answers kept per model and replica, for texts that come again; 0: none. API keys have "
        "equal shares.",
    )
    limits: Limits = Limits()
    watch_s: float = Field(
        5, ge=0, description="Seconds between polls of the registry for new versions; 0: never."
    )
    log_texts: bool = Field(False, description="Write the texts into the access log.")
    cors_origins: tuple[str, ...] = Field(
        (), description="Allowed CORS origins, such as https://example.org; *: all."
    )
    keys_needed: bool = Field(
        False, description="Refuse to start a replica without API keys. Set automatically if keys are found."
    )

    @field_validator("tasks")
    @classmethod
    def _are_names(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        for task in tasks:
            check_name(task, "a task")
        return tasks

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is not an origin; expected a scheme and a host without a path or trailing "
                    "slash, such as https://example.org or http://localhost:3000"
                )
        return origins


class UserConfig(BaseModel):
    """`user_config` of the deployment; any change makes the replicas reload from the registry."""

    model_config = ConfigDict(extra="forbid")

    versions: dict[str, str] = Field({}, description="Version by task, instead of the current one.")
    reload: str | None = Field(None, description="Any text; a new value reloads the current versions.")


def read(args: Mapping[str, Any]) -> Settings:
    """Validate `args` and fill in the tasks.

    Raises:
        ValueError: a key is unknown or a value is invalid.
        FileNotFoundError: `args` names no tasks, and no task has a published version.
    """
    settings = Settings(**args)
    registry = expanded(settings.registry)
    tasks = settings.tasks or _published(registry)
    return settings.model_copy(update={"tasks": tasks, "registry": registry})


def _published(url: str) -> tuple[str, ...]:
    found = tuple(task for task in versions.tasks(url) if versions.current_version(task, registry=url))
    if not found:
        raise FileNotFoundError(
            f"{url} has no published version; train one with `python -m ray_jobs.train --task hate`"
        )
    return found
