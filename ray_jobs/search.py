"""A search: many runs of `launch.run`, the poor ones pruned, one chosen by validation."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

import ray
from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback

from ray_jobs.cluster import Resources
from ray_jobs.launch import (
    Outcome,
    best_checkpoint,
    on_gpu,
    outcome,
    run,
    score_name,
    scored_checkpoints,
    storage_path,
)
from ray_jobs.proposing import proposer
from ray_jobs.pruning import PRUNED_FILE, Pruned, Pruner, pruned_trials
from ray_jobs.spaces import Space, as_grid, grid_size, most_epochs, plain
from ray_jobs.speed import measure_speeds
from ray_jobs.trials import Prefer, Propose, SearchResult, Trial, choose
from ray_jobs.watch import Watch
from tweetelm.config import TrainConfig
from tweetelm.overrides import override
from tweetelm.tasks import TASKS
from tweetelm.training.setup import Prepared, preparation_key, prepare

RESULT_FILE = "result.json"
Store = dict[str, "ray.ObjectRef[Prepared]"]  # by `preparation_key`
_TRIAL_MEMORY = 64 * 2**20  # a token, not a measure: a trial holds no CPU, so its workers cannot starve


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched, how, and how the best is chosen.

    Attributes:
        base: the settings that trials share.
        space: what they differ in.
        count: trials, where the space does not say it (a grid does).
        concurrent: trials at once.
        propose: who proposes the samples.
        prefer: see `choose`.
        tolerance: see `choose`.
    """

    base: TrainConfig
    space: Space
    count: int
    concurrent: int
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
        return f"{storage_path(self.base)}/{self.name}"

    @property
    def trials(self) -> int:
        """How many there will be."""
        return grid_size(self.space) if self.propose == "grid" else self.count

    @property
    def epochs(self) -> int:
        """Of the longest trial."""
        return most_epochs(self.space, self.base)

    @property
    def grace(self) -> int:
        """Epochs that every trial is given before the first may be pruned."""
        return max(1, self.epochs // 3)


def search_name(base: TrainConfig) -> str:
    """A search's own name."""
    return base.name or f"search-{base.run_name}"


def search(plan: Search, resources: Resources) -> tuple[SearchResult, TrainConfig, Outcome]:
    """Run or resume a search.

    Returns:
        The result, the winner's configuration and its outcome.

    Raises:
        ValueError: no trial came to a validation score.
    """
    prepared = _prepare_once(plan)
    grid = _tuner(plan, resources, prepared).fit()
    pruned = pruned_trials(f"{plan.folder}/{PRUNED_FILE}")
    started = grid._experiment_analysis.trials  # a trial that failed at once has no result to name it
    trials = tuple(
        _trial(plan.base, one.config, one.trial_id, grid[index], pruned) for index, one in enumerate(started)
    )
    speeds = _speeds(plan, trials, resources)
    winner = choose(trials, speeds, plan.prefer, plan.tolerance)
    result = SearchResult(trials=trials, winner=winner.run, speeds=speeds)
    config = trial_config(plan.base, winner.sample, winner.number)
    return result, config, outcome(config, _look_up(prepared, config))


def _prepare_once(plan: Search) -> Store:
    """Rows and tokenizer for each size of the space, where trials can fetch them."""
    sizes = getattr(plan.space.get("model.name"), "categories", [plan.base.model.name])
    configs = [override(plan.base, {"model.name": size}) for size in sizes]
    return {preparation_key(config): ray.put(prepare(config)) for config in configs}


def _look_up(prepared: Store, config: TrainConfig) -> Prepared:
    """What was prepared for such a trial, or prepared now if the space varies the data or the text too."""
    stored = prepared.get(preparation_key(config))
    found: Prepared = prepare(config) if stored is None else ray.get(stored)
    return found


def _tuner(plan: Search, resources: Resources, prepared: Store) -> tune.Tuner:
    base = plan.base

    def one_trial(sample: dict[str, Any]) -> None:
        config = trial_config(base, plain(sample), tune.get_context().get_trial_id())
        callbacks = [TuneReportCallback()]
        run(config, resources, callbacks=callbacks, prepared=_look_up(prepared, config), quiet=True)

    trainable = tune.with_resources(one_trial, {"memory": _TRIAL_MEMORY})
    space = as_grid(plan.space) if plan.propose == "grid" else plan.space
    if tune.Tuner.can_restore(plan.folder):
        return tune.Tuner.restore(
            plan.folder, trainable=trainable, param_space=space, resume_unfinished=True, restart_errored=True
        )
    return tune.Tuner(
        trainable,
        param_space=space,
        tune_config=_tune_config(plan),
        run_config=tune.RunConfig(
            name=plan.name,
            storage_path=storage_path(base),
            failure_config=tune.FailureConfig(max_failures=1),
            callbacks=[Watch(count=plan.trials, metric=TASKS[base.task].metric, epochs=base.loop.epochs)],
            verbose=0,
        ),
    )


def _tune_config(plan: Search) -> tune.TuneConfig:
    return tune.TuneConfig(
        metric=score_name(plan.base),
        mode="max",
        num_samples=1 if plan.propose == "grid" else plan.count,
        max_concurrent_trials=plan.concurrent if plan.propose == "optuna" else None,
        search_alg=proposer(plan.propose, plan.base.loop.seed, plan.concurrent),
        scheduler=Pruner(f"{plan.folder}/{PRUNED_FILE}", grace=plan.grace, epochs=plan.epochs),
    )


def trial_config(base: TrainConfig, sample: dict[str, Any], trial: str) -> TrainConfig:
    """The configuration of one trial: the base with the sample's values, and a name that stays on
    resuming.
    """
    tracking = dataclasses.replace(base.tracking, group=search_name(base))
    name = f"{search_name(base)}-{trial}"
    return dataclasses.replace(override(base, sample), name=name, tracking=tracking)


def slots(base: TrainConfig, resources: Resources) -> int:
    """How many trials fit at once.

    Raises:
        ValueError: not even one does.
    """
    kind, have = ("GPU", resources.gpus) if on_gpu(base, resources) else ("CPU", resources.cpus)
    each = base.run.workers * (1 if kind == "GPU" else base.run.cpus or 1)
    if have < each and resources.local:
        raise ValueError(
            f"one trial takes {base.run.workers} workers x {each // base.run.workers} {kind} = {each} "
            f"{kind}s, but this machine has {have}; use --run.workers {max(have, 1)} --run.cpus 1, or a "
            "larger cluster (RAY_ADDRESS)"
        )
    return max(have // each, 1)


def share(plan: Search, concurrent: int, resources: Resources) -> Search:
    """The search with so many trials at once, this machine's CPUs shared among their workers."""
    base = plan.base
    if resources.local and base.run.cpus is None and not on_gpu(base, resources):
        cpus = max(1, resources.cpus // (concurrent * base.run.workers))
        base = dataclasses.replace(base, run=dataclasses.replace(base.run, cpus=cpus))
    return dataclasses.replace(plan, base=base, concurrent=concurrent)


def _trial(
    base: TrainConfig, proposed: dict[str, Any], number: str, result: Any, pruned: dict[str, Pruned]
) -> Trial:
    """A trial as its reports and its run's folder tell: what Tune remembers may be stale after a restart."""
    sample, metric = plain(proposed), score_name(base)
    config = trial_config(base, sample, number)
    curve = _curve(_reports(result), metric)
    scores = [score for _, score in curve] + [m[metric] for _, m in scored_checkpoints(config)]
    epochs = max((epoch for epoch, _ in curve), default=0.0)
    status: Literal["done", "pruned", "failed"] = "pruned" if epochs < config.loop.epochs else "done"
    why = ""
    if result.error:
        status, why = "failed", str(result.error).strip().splitlines()[-1]
    elif number in pruned and status == "pruned":
        reason = pruned[number]
        why = f"{reason.score:.4f} < {reason.cutoff:.4f} at epoch {reason.epoch:g}"
    return Trial(
        run=config.run_name,
        sample=sample,
        score=max(scores, default=None),
        epochs=epochs,
        status=status,
        why=why,
        seconds=float((result.metrics or {}).get("time_total_s", 0.0)),
        curve=curve,
    )


def _curve(reports: list[dict[str, Any]], metric: str) -> tuple[tuple[float, float], ...]:
    """(epoch, score) of each validation, in order; a step that was repeated after an interruption counts
    once."""
    validated = {report["step"]: report for report in reports if metric in report}
    return tuple((float(validated[s]["epoch"]), float(validated[s][metric])) for s in sorted(validated))


def _reports(result: Any) -> list[dict[str, Any]]:
    """All that a trial reported. (Tune's table of it has the first report's columns only.)"""
    path = f"{result.path}/result.json"
    if not result.filesystem.get_file_info(path).is_file:
        return []
    with result.filesystem.open_input_stream(path) as file:
        return [json.loads(line) for line in file.readall().splitlines()]


def _speeds(plan: Search, trials: tuple[Trial, ...], resources: Resources) -> dict[str, float]:
    """Tweets a second by size, where the search has several."""
    checkpoints: dict[str, tuple[TrainConfig, str]] = {}
    for trial in trials:
        if trial.score is not None and trial.size not in checkpoints:
            config = trial_config(plan.base, trial.sample, trial.number)
            checkpoints[trial.size] = (config, best_checkpoint(config)[0])
    return measure_speeds(checkpoints, resources) if len(checkpoints) > 1 else {}
