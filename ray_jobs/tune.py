"""`python -m ray_jobs.tune --task hate`: search hyperparameters and model sizes, publish the best.

The same command again resumes an interrupted search, or says that it is done.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ray_jobs.cli import USUAL, refuse, typed
from ray_jobs.cli import run as run_job
from ray_jobs.search.trials import Prefer, Propose
from tweetelm.cli import command
from tweetelm.config.train_config import TrainConfig
from tweetelm.tasks import TASKS

if TYPE_CHECKING:
    from ray_jobs.cluster.connect import Resources
    from ray_jobs.run_dir import Finished
    from ray_jobs.search.search import Search
    from ray_jobs.search.spaces import Space
    from ray_jobs.search.trials import SearchResult


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
        return tune(arguments)


def tune(arguments: Arguments, space: "Space | None" = None) -> int:
    """Search, evaluate and publish the winner, and say what came out. Returns the exit status. `space`: in
    place of the one that is named."""
    from ray_jobs.run_dir import check_typed_name, hold

    check_typed_name(arguments.config.name)
    from ray_jobs.cluster.connect import connect  # here, so that the above and --help answer at once
    from ray_jobs.search.search import Search, share
    from ray_jobs.search.spaces import check, find_space
    from ray_jobs.training.preflight import check_places
    from ray_jobs.training.resources import max_concurrent

    base, space = arguments.config, space or find_space(arguments.space)
    check(space, base)
    plan = Search(
        base=base,
        space=space,
        count=arguments.trials,
        concurrent=1,
        propose=arguments.propose,
        prefer=arguments.prefer,
        tolerance=arguments.tolerance,
    )
    if arguments.plan:
        return _describe(arguments, plan)
    if _told_before(plan):
        return 0
    with hold(dataclasses.replace(base, name=plan.name), **search_identity(plan)):
        if _told_before(plan):  # another command may just have ended
            return 0
        check_places(base)
        resources = connect()
        most = min(max_concurrent(base, resources), plan.trials)
        return _search(share(plan, min(arguments.concurrent or most, most), resources), resources)


def _describe(arguments: Arguments, plan: "Search") -> int:
    from ray_jobs.cluster.connect import Resources, survey
    from ray_jobs.search.estimate import Price, describe_search
    from ray_jobs.search.search import share
    from ray_jobs.training.resources import max_concurrent

    resources = survey()
    if arguments.gpus is not None:
        resources = Resources(cpus=resources.cpus, gpus=arguments.gpus, local=True)
    most = min(max_concurrent(plan.base, resources), plan.trials)
    plan = share(plan, min(arguments.concurrent or most, most), resources)
    price = Price(per_hour=arguments.price_per_hour, tflops=arguments.tflops)
    print(describe_search(plan, resources, price))
    return 0


def _search(plan: "Search", resources: "Resources") -> int:
    from ray_jobs.run_dir import claim, hold
    from ray_jobs.search.report import write_report
    from ray_jobs.search.search import RESULT_FILE, search
    from ray_jobs.training.publish import evaluate_and_publish
    from tweetelm.registry import git_state

    print(
        f"search {plan.name}: {plan.trials} trials of {', '.join(plan.space)}, {plan.concurrent} at a time, "
        f"{plan.base.run.workers} workers each, at most {plan.epochs} epochs",
        flush=True,
    )
    claim(dataclasses.replace(plan.base, name=plan.name), **search_identity(plan))
    result, config, outcome = search(plan, resources)
    with hold(config, under=plan.name):
        finished = evaluate_and_publish(config, outcome, resources, git_state(Path.cwd()))
    report = write_report(plan, result, finished.notices)
    result.save(f"{plan.folder}/{RESULT_FILE}")
    print(_told(plan, result, config, finished, report))
    return 0


def _told(
    plan: "Search", result: "SearchResult", config: TrainConfig, finished: "Finished", report: str
) -> str:
    from ray_jobs.search.trials import table
    from ray_jobs.training.summary import summary

    trials = table(result.trials, TASKS[plan.base.task].metric, result.winner)
    return f"{trials}\nreport       {typed(report)}\n{summary(config, finished)}"


def search_identity(plan: "Search") -> dict[str, Any]:
    """What makes a search itself, beside the settings that its trials share."""
    from ray_jobs.search.spaces import describe

    return {"space": describe(plan.space), "trials": plan.trials, "propose": plan.propose}


def _told_before(plan: "Search") -> bool:
    """Whether the search was carried to its end before; if so, its result is printed again."""
    from ray_jobs.run_dir import already_finished, check_name
    from ray_jobs.search.report import report_path
    from ray_jobs.search.search import RESULT_FILE
    from ray_jobs.search.trial_runs import trial_config
    from ray_jobs.search.trials import load_result

    result = load_result(f"{plan.folder}/{RESULT_FILE}")
    if result is None:
        return False
    # refuses another configuration under this name
    check_name(dataclasses.replace(plan.base, name=plan.name), **search_identity(plan))
    config = trial_config(plan.base, result.best.sample, result.best.number)
    finished = already_finished(config)
    if finished is None:
        return False
    print(f"{plan.name} is finished already: nothing to search")
    print(_told(plan, result, config, finished, report_path(plan)))
    return True


if __name__ == "__main__":
    run_job(main)
