"""Settings of resources, storage and tracking: they change the trained weights by rounding only."""

from dataclasses import dataclass
from typing import Literal

from tweetelm.config.checks import check_choices, expand_places, require
from tweetelm.files.paths import located


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Resources, storage and publication of a run; they change the trained weights by rounding only."""

    workers: int = 1
    """Ray Train workers; each gets one GPU, or without GPUs the CPUs of --run.cpus."""
    min_workers: int | None = None
    """Elastic training: the minimum number of workers (the maximum is --run.workers). Default: a run waits
    for all workers."""
    cpus: int | None = None
    """CPUs and threads per worker. Default: an equal share of this machine; 1 on a cluster."""
    gpu: Literal["auto", "yes", "no"] = "auto"
    """auto: use GPUs if the cluster has any."""
    storage: str = "runs"
    """Folder or URL (s3://…, gs://…) for checkpoints and history; must be shared by all machines."""
    registry: str = "models"
    """Folder or URL (s3://…, gs://…, az://…) for published models."""
    retries: int = 3
    """Maximum restarts from the last checkpoint after worker failures."""
    publish: bool = True
    """Publish the best checkpoint after training."""
    threshold: Literal["argmax", "validation"] = "argmax"
    """Decision rule of the published model. argmax: the most probable label. validation: the positive label
    at or above the threshold with the highest macro-F1 on validation."""
    replace: bool = False
    """Promote the new version even if the current one has a better validation metric."""

    @property
    def storage_folder(self) -> str:
        """Absolute path or URL of `storage`."""
        return located(self.storage)

    @property
    def registry_folder(self) -> str:
        """Absolute path or URL of `registry`."""
        return located(self.registry)

    @property
    def required_workers(self) -> int:
        """The minimum number of workers."""
        return self.workers if self.min_workers is None else self.min_workers

    def __post_init__(self) -> None:
        check_choices(self, "run.")
        expand_places(self, "storage", "registry")
        require(self.workers >= 1, f"run.workers is {self.workers}; expected at least 1")
        require(
            self.min_workers is None or 1 <= self.min_workers <= self.workers,
            f"run.min_workers is {self.min_workers}; expected 1 to {self.workers}, which is run.workers",
        )
        require(self.cpus is None or self.cpus >= 1, f"run.cpus is {self.cpus}; expected at least 1")
        require(self.retries >= 0, f"run.retries is {self.retries}; expected 0 or more")


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Experiment tracking, in addition to the run's history.jsonl."""

    wandb: Literal["auto", "online", "offline", "off"] = "auto"
    """auto: online if WANDB_API_KEY is set, else offline (`wandb sync` later); off if wandb is not installed.
    WANDB_MODE and WANDB_DISABLED override every value except off."""
    project: str = "tweetelm"
    """Weights & Biases project."""
    entity: str | None = None
    """Weights & Biases user or team. Default: that of the API key."""
    tags: tuple[str, ...] = ()
    """Tags of the run in Weights & Biases."""
    group: str | None = None
    """Weights & Biases group. Trials of a search have the search's name."""

    def __post_init__(self) -> None:
        check_choices(self, "tracking.")
        object.__setattr__(self, "tags", tuple(self.tags))  # a stored configuration has a list
