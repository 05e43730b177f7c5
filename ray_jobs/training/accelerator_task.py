"""Runs work other than training as a Ray task on a node with the accelerator."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import RayTaskError

from ray_jobs.cluster.connect import Resources
from ray_jobs.training.resources import on_gpu
from tweetelm.cli.command import EXPLAINED
from tweetelm.config.train_config import TrainConfig
from tweetelm.files import object_storage
from tweetelm.files.paths import is_url
from tweetelm.training import OPTIMIZER_FILE

T = TypeVar("T")


def task_options(config: TrainConfig, resources: Resources) -> tuple[dict[str, Any], int]:
    """Return the `ray.remote` options of a task that runs without concurrent training, and its threads: one
    GPU, or all CPUs of this machine."""
    gpu = on_gpu(config, resources)
    cpus = max(resources.cpus, 1) if resources.local else 1
    return {"num_cpus": 1 if gpu else cpus, "num_gpus": 1 if gpu else 0}, cpus


def run_there(work: Callable[..., T], options: dict[str, Any], *arguments: Any) -> T:
    """Run a function as a Ray task with `options`, and return its result.

    If it raises an error that a user can cause, the same error is raised here, without Ray's traceback.
    """
    try:
        found: T = ray.get(ray.remote(**options)(work).remote(*arguments))
    except RayTaskError as error:
        if isinstance(error.cause, EXPLAINED):
            raise error.cause from None
        raise
    return found


@contextlib.contextmanager
def local_copy(checkpoint: str) -> Iterator[Path]:
    """Yield a local folder of a checkpoint; a URL is downloaded temporarily, without the optimizer state."""
    if not is_url(checkpoint):
        yield Path(checkpoint)
        return
    with tempfile.TemporaryDirectory() as scratch:
        names = [name for name in object_storage.listed(checkpoint) if name != OPTIMIZER_FILE]
        object_storage.fetch(checkpoint, Path(scratch) / "checkpoint", names)
        yield Path(scratch) / "checkpoint"
