"""A search: many runs of `launch.run`, the poor ones pruned, one chosen by validation."""

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune

from ray_jobs.cluster.connect import Resources
from ray_jobs.fault_tolerance.signals import ExitAfterTrials, stop_trials_on_signal
from ray_jobs.search.asha import PRUNED_FILE, Pruner, pruned_trials
from ray_jobs.search.progress import Watch
from ray_jobs.search.searchers import make_searcher
from ray_jobs.search.spaces import Space, as_grid, grid_size, most_epochs
from ray_jobs.search.throughput import measure_speeds
from ray_jobs.search.trial_runs import Store, look_up, read_trials, run_trial, search_name, trial_config
from ray_jobs.search.trials import Prefer, Propose, SearchResult, Trial, choose
from ray_jobs.training.launcher import Outcome, best_checkpoint, check_prepared, outcome, score_name
from ray_jobs.training.resources import max_concurrent, share_cpus
from tweetelm.config.overrides import override
from tweetelm.config.train_config import TrainConfig, preparation_key
from tweetelm.tasks import TASKS
from tweetelm.training.prepare import prepare

RESULT_FILE = "result.json"
_TRIAL_MEMORY = 64 * 2**20  # a token, not a measure: a trial holds no CPU, so its workers cannot starve


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched, how, and how the best is chosen.

    Attributes:
        base: the settings that trials share.
        space: what they differ in.
        count: trials, where the space does not say it (a grid does).
        concurrent: trials that train at once.
        ahead: trials beyond these that start already: their processes come up, and their workers wait for
            the first place that is free.
        propose: who proposes the samples.
        prefer: see `choose`.
        tolerance: see `choose`.
    """

    base: TrainConfig
    space: Space
    count: int
    concurrent: int
    ahead: int = 0
    propose: Propose = "random"
    prefer: Prefer = "quality"
    tolerance: float = 0.01

    @property
    def name(self) -> str:
        """Its runs are called after it."""
        return search_name(self.base)

    @property
    def folder(self) -> str:
        """Where Tune and the result are."""
        return f"{self.base.run.storage_folder}/{self.name}"

    @property
    def trials(self) -> int:
        """How many there will be."""
        return grid_size(self.space) if self.propose == "grid" else self.count

    @property
    def started(self) -> int:
        """How many Tune has running at once."""
        return self.concurrent + self.ahead

    @property
    def epochs(self) -> int:
        """Of the longest trial."""
        return most_epochs(self.space, self.base)

    @property
    def grace(self) -> int:
        """Epochs that every trial is given before the first may be pruned."""
        return max(1, self.epochs // 3)


def search(plan: Search, resources: Resources) -> tuple[SearchResult, TrainConfig, Outcome]:
    """Run or resume a search.

    Returns:
        The result, the winner's configuration and its outcome.

    Raises:
        ValueError: no trial came to a validation score.
        KeyboardInterrupt: somebody stops it; it can be resumed.
    """
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # it hands back the trials so far as if they were all
    prepared = _prepare_once(plan)
    with stop_trials_on_signal():
        grid = _tuner(plan, resources, prepared).fit()
    trials = read_trials(plan.base, grid, pruned_trials(f"{plan.folder}/{PRUNED_FILE}"))
    speeds = _speeds(plan, trials, resources)
    winner = choose(trials, speeds, plan.prefer, plan.tolerance)
    result = SearchResult(trials=trials, winner=winner.run, speeds=speeds)
    config = trial_config(plan.base, winner.sample, winner.number)
    return result, config, outcome(config, ray.get(look_up(prepared, config)))


def _prepare_once(plan: Search) -> Store:
    """Rows and tokenizer for each size of the space, where trials can fetch them."""
    sizes = getattr(plan.space.get("model.name"), "categories", [plan.base.model.name])
    stored: Store = {}
    for config in (override(plan.base, {"model.name": size}) for size in sizes):
        prepared = prepare(config)
        check_prepared(config, prepared)
        stored[preparation_key(config)] = ray.put(prepared)
    return stored


def _tuner(plan: Search, resources: Resources, prepared: Store) -> tune.Tuner:
    base = plan.base

    def one_trial(sample: dict[str, Any]) -> None:
        run_trial(sample, base, resources, prepared)

    trainable = tune.with_resources(one_trial, {"memory": _TRIAL_MEMORY})
    space = as_grid(plan.space) if plan.propose == "grid" else plan.space
    if tune.Tuner.can_restore(plan.folder):
        return _restored(plan, trainable, space)
    return tune.Tuner(
        trainable,
        param_space=space,
        tune_config=_tune_config(plan),
        run_config=tune.RunConfig(
            name=plan.name,
            storage_path=base.run.storage_folder,
            failure_config=tune.FailureConfig(max_failures=1),
            callbacks=[
                Watch(count=plan.trials, metric=TASKS[base.task].metric, epochs=base.loop.epochs),
                ExitAfterTrials(),
            ],
            verbose=0,
        ),
    )


def _restored(plan: Search, trainable: Any, space: Any) -> tune.Tuner:
    """The search as Ray Tune left it, in files of its own."""
    try:
        return tune.Tuner.restore(
            plan.folder, trainable=trainable, param_space=space, resume_unfinished=True, restart_errored=True
        )
    except Exception as error:  # whatever unpickling raises
        raise ValueError(
            f"the search in {plan.folder} cannot go on: Ray Tune's files there are damaged "
            f"({type(error).__name__}: {error}); delete that folder and type the command again, or give this "
            "search another --name"
        ) from error


def _tune_config(plan: Search) -> tune.TuneConfig:
    return tune.TuneConfig(
        metric=score_name(plan.base),
        mode="max",
        num_samples=1 if plan.propose == "grid" else plan.count,
        max_concurrent_trials=plan.started if plan.propose == "optuna" else None,
        search_alg=make_searcher(plan.propose, plan.base.loop.seed, plan.started),
        scheduler=Pruner(f"{plan.folder}/{PRUNED_FILE}", grace=plan.grace, epochs=plan.epochs),
    )


def share(plan: Search, concurrent: int, resources: Resources) -> Search:
    """The search with so many trials at once, this machine's CPUs shared among their workers; where these
    take every place there is, one more trial gets ready meanwhile."""
    base = share_cpus(plan.base, concurrent, resources)
    ahead = int(concurrent == max_concurrent(base, resources) and concurrent < plan.trials)
    return dataclasses.replace(plan, base=base, concurrent=concurrent, ahead=ahead)


def _speeds(plan: Search, trials: tuple[Trial, ...], resources: Resources) -> dict[str, float]:
    """Tweets a second by size, where the search has several."""
    checkpoints: dict[str, tuple[TrainConfig, str]] = {}
    for trial in trials:
        if trial.score is not None and trial.size not in checkpoints:
            config = trial_config(plan.base, trial.sample, trial.number)
            checkpoints[trial.size] = (config, best_checkpoint(config)[0])
    if len(checkpoints) < 2:
        return {}
    return measure_speeds(checkpoints, resources)
