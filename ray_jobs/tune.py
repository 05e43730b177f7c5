"""`python -m ray_jobs.tune --task hate`: search hyperparameters and model sizes, publish the best.

The same command again resumes an interrupted search, or says that it is done.
"""

import dataclasses
from typing import Annotated, Any

import tyro

from ray_jobs.cli import USUAL, refuse
from ray_jobs.cli import run as run_job
from ray_jobs.run_dir import check_typed_name
from ray_jobs.search.trials import Prefer, Propose
from tweetelm.cli import command
from tweetelm.config.train_config import TrainConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Search hyperparameters and model sizes; evaluate and publish the best trial by validation.

    Every setting that the space does not vary is taken from the command line. Run again with the same
    arguments, it resumes where it stopped.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    space: str = "default"
    """The search space, see ray_jobs/search/spaces.py. default: OpenELM 270M and 450M. modes: which of their
    weights are trained. scratch: the two scratch sizes. tiny: the same in a few minutes."""
    trials: int = 8
    """How many configurations to try; a grid tries all."""
    propose: Propose = "random"
    """Who proposes them. optuna: by a model of what came out so far (TPE)."""
    concurrent: int | None = None
    """Trials at once; by default as many as fit."""
    prefer: Prefer = "quality"
    """quality: publish the best by validation, among equals the cheapest size. cost: the cheapest size that
    is nearly as good."""
    tolerance: float = 0.01
    """How much worse than the best is nearly as good."""
    plan: bool = False
    """Print what the search would take, and stop."""
    gpus: int | None = None
    """With --plan: of a cluster that is not at hand."""
    tflops: float | None = None
    """With --plan: what one worker sustains in training."""
    price_per_hour: float | None = None
    """With --plan: of a GPU, or of this machine without one."""


def main() -> int:
    """Command line."""
    with refuse():
        arguments = command.parse(Arguments, module="ray_jobs.tune", usual=USUAL)
        check_typed_name(arguments.config.name)
        return tune(arguments)


def tune(arguments: Arguments, space: dict[str, Any] | None = None) -> int:
    """Search, evaluate and publish the winner, and print the result. Returns the exit status.

    `space` replaces the one that `arguments` names.
    """
    from ray_jobs.search import job  # takes seconds: it imports Ray and torch

    search = job.make_search(
        arguments.config,
        space or arguments.space,
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
