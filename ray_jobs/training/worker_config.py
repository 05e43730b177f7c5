"""The configuration that a driver sends to its workers.

This module does not import torch or transformers: trials and Ray Train's controller import it in their own
processes, and start seconds faster without them.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tweetelm.config.train_config import TrainConfig

if TYPE_CHECKING:
    import ray

    from tweetelm.training.prepare import Prepared

SCORE = "score"  # Ray Train keeps the checkpoints with the highest score; those without validation have -1


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """The configuration of every worker of a run.

    Attributes:
        config: Configuration of the run.
        prepared: Prepared data in Ray's object store.
        folder: Folder or URL of the run.
        api_key_present: Whether the driver has an API key for Weights & Biases.
        live: Whether standard output is a terminal.
        quiet: Print no progress; the search does.
    """

    config: TrainConfig
    prepared: "ray.ObjectRef[Prepared]"
    folder: str
    api_key_present: bool
    live: bool
    quiet: bool


def start_worker(values: dict[str, WorkerConfig]) -> None:
    """Run the training function of Ray Train (`train_loop_per_worker`)."""
    from ray_jobs.training.worker import work

    work(values["setup"])
