"""`python -m ray_jobs.tune --base.task hate`: search hyperparameters and model sizes, publish the best.

The same command again resumes an interrupted search, or says that it is done.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ray_jobs.console import refuse
from tweetelm.config import TrainConfig
from tweetelm.tasks import TASKS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Search hyperparameters and model sizes; evaluate and publish the best trial by validation.

    Every setting that the space does not vary is taken from the command line. Run again with the same
    arguments, it resumes where it stopped.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    space: Literal["default", "tiny"] = "default"
    """default: OpenELM 270M and 450M. tiny: the two scratch sizes."""
    trials: int = 8
    """How many configurations to try."""
    concurrent: int | None = None
    """Trials at once; by default as many as fit."""
    plan: bool = False
    """Print what would be tried, and stop."""


def main() -> int:
    """Command line."""
    arguments = tyro.cli(Arguments, prog="python -m ray_jobs.tune", description=Arguments.__doc__)
    with refuse():
        return tune(arguments)


def tune(arguments: Arguments) -> int:
    """Search, evaluate and publish the winner, and say what came out. Returns the exit status."""
    from ray_jobs.cluster import connect, survey  # here, so that --help and a misspelt flag answer at once
    from ray_jobs.finish import evaluate_and_publish
    from ray_jobs.launch import claim
    from ray_jobs.search import save_result, search, search_name, slots, table
    from ray_jobs.spaces import SPACES, check
    from ray_jobs.train import summary
    from tweetelm.registry import git_state

    base, space, metric = arguments.config, SPACES[arguments.space], TASKS[arguments.config.task].metric
    check(space, base)
    if not arguments.plan and _told_before(arguments):
        return 0
    resources = survey() if arguments.plan else connect()
    concurrent = min(arguments.concurrent or slots(base, resources), slots(base, resources))
    print(
        f"search {search_name(base)}: {arguments.trials} trials of {', '.join(space)}, "
        f"{concurrent} at a time, {base.run.workers} workers each, at most {base.loop.epochs} epochs",
        flush=True,
    )
    if arguments.plan:
        return 0
    claim(dataclasses.replace(base, name=search_name(base)), **search_identity(arguments))
    rows, config, outcome = search(
        base, space, trials=arguments.trials, concurrent=concurrent, resources=resources
    )
    save_result(base, rows, config.run_name)
    print(table(rows, metric, config.run_name), flush=True)
    print(summary(config, evaluate_and_publish(config, outcome, resources, git_state(Path.cwd()))))
    return 0


def search_identity(arguments: Arguments) -> dict[str, object]:
    """What makes a search itself, beside the settings that its trials share."""
    return {"space": arguments.space, "trials": arguments.trials}


def _told_before(arguments: Arguments) -> bool:
    """Whether the search was carried to its end before; if so, its result is printed again."""
    from ray_jobs.finish import already_finished
    from ray_jobs.launch import claim
    from ray_jobs.search import load_result, search_name, table, trial_config
    from ray_jobs.train import summary

    base = arguments.config
    found = load_result(base)
    if found is None:
        return False
    # refuses another configuration under this name
    claim(dataclasses.replace(base, name=search_name(base)), **search_identity(arguments))
    rows, winner = found
    sample = next(row.sample for row in rows if row.run == winner)
    config = dataclasses.replace(trial_config(base, sample, ""), name=winner)
    finished = already_finished(config)
    if finished is None:
        return False
    print(f"{search_name(base)} is finished already: nothing to search")
    print(table(rows, TASKS[base.task].metric, winner))
    print(summary(config, finished))
    return True


if __name__ == "__main__":
    sys.exit(main())
