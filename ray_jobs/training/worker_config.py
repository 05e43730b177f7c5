"""What a driver hands to its workers.

Nothing here imports torch or transformers: a trial of a search and Ray Train's controller read it too, in
processes of their own, and start seconds sooner without.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tweetelm.config.train_config import TrainConfig

if TYPE_CHECKING:
    import ray

    from tweetelm.training.prepare import Prepared

SCORE = "score"  # by which Ray Train keeps checkpoints: those that validation has not scored go first


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """The same for every worker. `live`: somebody watches a terminal. `quiet`: somebody else tells of the
    progress."""

    config: TrainConfig
    prepared: "ray.ObjectRef[Prepared]"
    folder: str
    api_key_present: bool
    live: bool
    quiet: bool


def start_worker(values: dict[str, WorkerConfig]) -> None:
    """The `train_loop_per_worker` of Ray Train."""
    from ray_jobs.training.worker import work

    work(values["setup"])
