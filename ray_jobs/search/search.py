"""Hyperparameter search with Ray Tune: many training runs, pruned by ASHA, the best chosen by validation."""

import dataclasses
import itertools
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
from ray_jobs.search.trial_results import Prefer, Propose, SearchResult, Trial, choose
from ray_jobs.search.trial_runs import Store, look_up, read_trials, run_trial, search_name, trial_config
from ray_jobs.training.launcher import Outcome, best_checkpoint, check_prepared, outcome, score_name
from ray_jobs.training.preflight import check_unlabeled
from ray_jobs.training.resources import max_concurrent, share_cpus
from ray_jobs.training.teaching import taught
from tweetelm.config.overrides import override
from tweetelm.config.train_config import TrainConfig, preparation_key
from tweetelm.training.prepare import prepare

RESULT_FILE = "result.json"
_TRIAL_MEMORY = 64 * 2**20  # a token amount: trials reserve no CPU, so that their workers can start


@dataclass(frozen=True, kw_only=True)
class Search:
    """The plan of a search.

    Attributes:
        base: Settings shared by all trials.
        space: Search space.
        count: Number of trials; a grid has its own.
        concurrent: Trials that train at once.
        ahead: Additional trials that start early: their processes start, and their workers wait for free
            resources.
        propose: Search algorithm.
        prefer: See `choose`.
        tolerance: See `choose`.
        space_name: Name of the space, if it has one.
    """

    base: TrainConfig
    space: Space
    count: int
    concurrent: int
    ahead: int = 0
    propose: Propose = "random"
    prefer: Prefer = "quality"
    tolerance: float = 0.01
    space_name: str = ""

    @property
    def name(self) -> str:
        """Name of the search, and prefix of its run names."""
        return search_name(self.base)

    @property
    def folder(self) -> str:
        """Folder or URL of Tune's state and the result."""
        return f"{self.base.run.storage_folder}/{self.name}"

    @property
    def trials(self) -> int:
        """Number of trials."""
        return grid_size(self.space) if self.propose == "grid" else self.count

    @property
    def started(self) -> int:
        """Trials that Tune runs at once."""
        return self.concurrent + self.ahead

    @property
    def epochs(self) -> int:
        """Return the epochs of the longest trial."""
        return most_epochs(self.space, self.base)

    @property
    def grace(self) -> int:
        """Epochs before a trial can be pruned (ASHA's grace period)."""
        return max(1, self.epochs // 3)


def search(plan: Search, resources: Resources) -> tuple[SearchResult, TrainConfig, Outcome]:
    """Run or resume a search.

    Returns:
        The result, the winner's configuration and its outcome.

    Raises:
        ValueError: no trial has a validation score, or Tune's files are damaged.
        KeyboardInterrupt: a signal stopped the search; it can be resumed.
    """
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = (
        "1"  # otherwise Tune returns an interrupted search as finished
    )
    prepared = _prepare_once(plan, resources)
    with stop_trials_on_signal():
        grid = _tuner(plan, resources, prepared).fit()
    trials = read_trials(plan.base, grid, pruned_trials(f"{plan.folder}/{PRUNED_FILE}"))
    speeds = _speeds(plan, trials, resources)
    winner = choose(trials, speeds, plan.prefer, plan.tolerance)
    result = SearchResult(trials=trials, winner=winner.run, speeds=speeds)
    config = trial_config(plan.base, winner.sample, winner.number)
    return result, config, outcome(config, ray.get(look_up(prepared, config, resources)))


def _prepare_once(plan: Search, resources: Resources) -> Store:
    """Put the rows and tokenizer of each size (model, number of layers) into Ray's object store."""
    keys = {"model.name": plan.base.model.name, "model.layers": plan.base.model.layers}
    values = [getattr(plan.space.get(key), "categories", [usual]) for key, usual in keys.items()]
    stored: Store = {}
    for size in itertools.product(*values):
        config = override(plan.base, dict(zip(keys, size, strict=True)))
        prepared = taught(config, prepare(config), resources)
        check_prepared(config, prepared)
        check_unlabeled(plan.folder, prepared.provenance)
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
                Watch(count=plan.trials, metric=base.task.metric, epochs=base.loop.epochs),
                ExitAfterTrials(),
            ],
            verbose=0,
        ),
    )


def _restored(plan: Search, trainable: Any, space: Any) -> tune.Tuner:
    """Restore the search from Ray Tune's files.

    Raises:
        ValueError: the files are damaged.
    """
    try:
        return tune.Tuner.restore(
            plan.folder, trainable=trainable, param_space=space, resume_unfinished=True, restart_errored=True
        )
    except Exception as error:  # whatever unpickling raises
        raise ValueError(
            f"the search in {plan.folder} cannot be resumed: Ray Tune's files are damaged "
            f"({type(error).__name__}: {error}); delete that folder and run the command again, or choose "
            "another --name"
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
    """Return the plan with `concurrent` trials at once, and this machine's CPUs divided among their workers.
    If they use all resources, one more trial starts early."""
    base = share_cpus(plan.base, concurrent, resources)
    ahead = int(concurrent == max_concurrent(base, resources) and concurrent < plan.trials)
    return dataclasses.replace(plan, base=base, concurrent=concurrent, ahead=ahead)


def _speeds(plan: Search, trials: tuple[Trial, ...], resources: Resources) -> dict[str, float]:
    """Return tweets/s by size if the search has several sizes."""
    checkpoints: dict[str, tuple[TrainConfig, str]] = {}
    for trial in trials:
        if trial.score is not None and trial.size not in checkpoints:
            config = trial_config(plan.base, trial.sample, trial.number)
            checkpoints[trial.size] = (config, best_checkpoint(config)[0])
    if len(checkpoints) < 2:
        return {}
    return measure_speeds(checkpoints, resources)
