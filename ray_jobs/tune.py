"""`python -m ray_jobs.tune --task hate`: searches hyperparameters and model sizes, and publishes the best
model.

Running the same command again resumes an interrupted search; a finished search is not run again.
"""

import dataclasses
from typing import Annotated, Any

import tyro

from ray_jobs.cli import USUAL, refuse
from ray_jobs.cli import run as run_job
from ray_jobs.run_dir import check_typed_name
from ray_jobs.search.trial_results import Prefer, Propose
from tweetelm.cli import command
from tweetelm.config.train_config import TrainConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Search hyperparameters and model sizes; evaluate and publish the best trial by validation.

    Settings outside the search space come from the command line; flags of settings that the space varies have
    no effect. Run the same command again to resume.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    space: str = "default"
    """Search space, see ray_jobs/search/spaces.py. default: OpenELM 270M and 450M. modes: full, LoRA or
    head-only training. scratch: the two scratch sizes. tiny: the two scratch sizes in a few minutes."""
    layers: tuple[int, ...] = ()
    """Also vary the number of decoder layers, over these values."""
    trials: int = 8
    """Number of trials. A grid, which needs a space of listed values, tries all combinations."""
    propose: Propose = "random"
    """Search algorithm: random, grid or optuna (TPE)."""
    concurrent: int | None = None
    """Concurrent trials. Default: as many as fit."""
    prefer: Prefer = "quality"
    """quality: publish the best trial by validation score. cost: publish the fastest model size within
    --tolerance of the best score."""
    tolerance: float = 0.01
    """With --prefer cost: allowed loss in validation score."""
    plan: bool = False
    """Print the estimated duration and cost, then exit."""
    gpus: int | None = None
    """With --plan: number of GPUs of the planned cluster. Default: those found."""
    tflops: float | None = None
    """With --plan: training throughput of one worker in TFLOP/s. Default: measured here; 50 for absent
    GPUs."""
    price_per_hour: float | None = None
    """With --plan: price per hour of one GPU, or of this machine without a GPU."""

    def __post_init__(self) -> None:
        for name in ("trials", "concurrent"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name} is {value}; expected at least 1")


def main() -> int:
    """Run the command; returns the exit status."""
    with refuse():
        arguments = command.parse(Arguments, module="ray_jobs.tune", usual=USUAL)
        check_typed_name(arguments.config.name)
        return tune(arguments)


def tune(arguments: Arguments, space: dict[str, Any] | None = None) -> int:
    """Search, evaluate and publish the winner, and print the result. Returns the exit status.

    `space` replaces the one that `arguments` names.
    """
    from ray_jobs.search import job  # takes seconds: it imports Ray and torch

    named = job.with_layers(arguments.space, arguments.layers) if arguments.layers else arguments.space
    search = job.make_search(
        arguments.config,
        space or named,
        count=arguments.trials,
        propose=arguments.propose,
        prefer=arguments.prefer,
        tolerance=arguments.tolerance,
    )
    if arguments.plan:
        print(
            job.plan(
                search,
                concurrent=arguments.concurrent,
                gpus=arguments.gpus,
                price_per_hour=arguments.price_per_hour,
                tflops=arguments.tflops,
            )
        )
    else:
        print(job.search_and_publish(search, concurrent=arguments.concurrent))
    return 0


if __name__ == "__main__":
    run_job(main)
