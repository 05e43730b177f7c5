"""A search job: check it, plan it, or run it to the published winner."""

import dataclasses
from pathlib import Path
from typing import Any

from ray import tune

from ray_jobs.cli import typed
from ray_jobs.cluster.connect import Resources, connect, survey
from ray_jobs.run_dir import Finished, check_name, claim, hold, read_finished
from ray_jobs.search.estimate import Price, describe_search
from ray_jobs.search.report import report_path, write_report
from ray_jobs.search.search import RESULT_FILE, Search, search, share
from ray_jobs.search.spaces import Space, check, describe, find_space
from ray_jobs.search.trial_results import SearchResult, load_result, table
from ray_jobs.search.trial_runs import trial_config
from ray_jobs.search.wandb_run import track_search
from ray_jobs.training.preflight import check_places
from ray_jobs.training.publish import evaluate_and_publish
from ray_jobs.training.resources import max_concurrent
from ray_jobs.training.summary import summary
from tweetelm.config.train_config import TrainConfig
from tweetelm.distillation import find_teacher
from tweetelm.registry import git_state


def space_of_sizes(name: str, sizes: tuple[str, ...]) -> Space:
    """The space of that name with these models in place of its own; ValueError if there is none."""
    return {**find_space(name), "model.name": tune.choice(list(sizes))}


def with_layers(name: str, layers: tuple[int, ...]) -> Space:
    """The space of that name, which also varies the number of layers; ValueError if there is none."""
    return {**find_space(name), "model.layers": tune.choice(list(dict.fromkeys(layers)))}


def make_search(base: TrainConfig, space: str | Space, **options: Any) -> Search:
    """Return a validated search plan.

    Args:
        base: settings that all trials share.
        space: a search space, or the name of one.
        **options: further fields of `Search`.

    Raises:
        ValueError: the space is unknown, or does not fit the configuration.
    """
    varied = find_space(space) if isinstance(space, str) else space
    check(varied, base)
    find_teacher(base)
    name = space if isinstance(space, str) else ""
    return Search(base=base, space=varied, space_name=name, concurrent=1, **options)


def plan(
    wanted: Search,
    *,
    concurrent: int | None,
    gpus: int | None,
    price_per_hour: float | None,
    tflops: float | None,
) -> str:
    """Return the estimated duration and cost of a search, as a table.

    Args:
        wanted: The search.
        concurrent: Concurrent trials; None: as many as fit.
        gpus: GPUs of the planned cluster; None: those of the connected cluster.
        price_per_hour: Price of one GPU, or of one machine without a GPU.
        tflops: TFLOP/s of one worker in training; None: measured here, or assumed for absent GPUs.
    """
    resources = survey()
    if gpus is not None:
        resources = Resources(cpus=resources.cpus, gpus=gpus, local=True)
    price = Price(per_hour=price_per_hour, tflops=tflops)
    return describe_search(_scheduled(wanted, concurrent, resources), resources, price)


def search_and_publish(wanted: Search, *, concurrent: int | None = None) -> str:
    """Run or resume a search, evaluate and publish its winner; returns the result as text.

    Raises:
        ValueError: the name belongs to another search, another command runs it, or no trial has a score.
        OSError: the storage cannot be written.
    """
    if finished := _finished_before(wanted):
        return finished
    with hold(dataclasses.replace(wanted.base, name=wanted.name), **identity(wanted)):
        if finished := _finished_before(wanted):  # another command may have finished it meanwhile
            return finished
        check_places(wanted.base)
        resources = connect()
        return _search(_scheduled(wanted, concurrent, resources), resources)


def find_winner(base: TrainConfig) -> tuple[SearchResult, TrainConfig]:
    """Return the result of a finished search, and the winner's configuration.

    Raises:
        FileNotFoundError: the search is not finished.
    """
    path = f"{base.run.storage_folder}/{base.name}/{RESULT_FILE}"
    found = load_result(path)
    if found is None:
        raise FileNotFoundError(f"{path} does not exist: the search is not finished; run it again")
    return found, trial_config(base, found.best.sample, found.best.number)


def identity(wanted: Search) -> dict[str, Any]:
    """Return the parts of a search's identity beside the shared settings of its trials."""
    return {"space": describe(wanted.space), "trials": wanted.trials, "propose": wanted.propose}


def _scheduled(wanted: Search, concurrent: int | None, resources: Resources) -> Search:
    """Return the search with `concurrent` trials at once, or as many as fit."""
    most = min(max_concurrent(wanted.base, resources), wanted.trials)
    return share(wanted, min(concurrent or most, most), resources)


def _search(wanted: Search, resources: Resources) -> str:
    print(
        f"search {wanted.name}: {wanted.trials} trials of {', '.join(wanted.space)}, {wanted.concurrent} at "
        f"a time, {wanted.base.run.workers} workers each, at most {wanted.epochs} epochs",
        flush=True,
    )
    base = dataclasses.replace(wanted.base, name=wanted.name)
    claim(base, {"space": wanted.space_name or None, "trials": wanted.count, "propose": wanted.propose,
                 "prefer": wanted.prefer, "tolerance": wanted.tolerance}, **identity(wanted))  # fmt: skip
    result, config, outcome = search(wanted, resources)
    with hold(config, under=wanted.name):
        finished = evaluate_and_publish(config, outcome, resources, git_state(Path.cwd()))
    report = write_report(wanted, result, finished.notices)
    track_search(wanted, result)
    result.save(f"{wanted.folder}/{RESULT_FILE}")
    return _summary(wanted, result, config, finished, report)


def _finished_before(wanted: Search) -> str:
    """Return the result of a finished search as text, else ""."""
    result = load_result(f"{wanted.folder}/{RESULT_FILE}")
    if result is None:
        return ""
    check_name(dataclasses.replace(wanted.base, name=wanted.name), **identity(wanted))
    config = trial_config(wanted.base, result.best.sample, result.best.number)
    finished = read_finished(config)
    if finished is None:
        return ""
    found = _summary(wanted, result, config, finished, report_path(wanted))
    return f"{wanted.name} is already finished: nothing to search\n{found}"


def _summary(
    wanted: Search, result: SearchResult, config: TrainConfig, finished: Finished, report: str
) -> str:
    trials = table(result.trials, wanted.base.task.metric, result.winner)
    return f"{trials}\nreport       {typed(report)}\n{summary(config, finished)}"
