"""A search: many runs of `launch.run`, the poor ones pruned, the best by validation chosen."""

import dataclasses
import json
import random
from dataclasses import dataclass
from typing import Any

import fsspec
import numpy as np
import ray.train
from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import ASHAScheduler

from ray_jobs.cluster import Resources
from ray_jobs.launch import Outcome, best, on_gpu, run, run_folder, score_name, storage_path
from ray_jobs.spaces import Space, plain
from tweetelm.config import TrainConfig
from tweetelm.overrides import override
from tweetelm.training.setup import prepare

_TRIAL_MEMORY = 64 * 2**20  # a token, not a measure: a trial holds no CPU, so its workers cannot starve


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial as the table shows it. `score` is its best on validation, `epochs` how far it came."""

    run: str
    sample: dict[str, Any]
    score: float | None
    epochs: float
    status: str


def search(
    base: TrainConfig, space: Space, *, trials: int, concurrent: int, resources: Resources
) -> tuple[list[Trial], TrainConfig, Outcome]:
    """Run or resume a search.

    Returns:
        The trials in the order they were proposed, the winner's configuration and its outcome.

    Raises:
        ValueError: no trial came to a validation score.
    """
    name, storage = search_name(base), storage_path(base)

    def one_trial(sample: dict[str, Any]) -> None:
        config = trial_config(base, plain(sample), tune.get_context().get_trial_id())
        run(config, resources, callbacks=[TuneReportCallback()])

    trainable = tune.with_resources(one_trial, {"memory": _TRIAL_MEMORY})
    folder = f"{storage}/{name}"
    if tune.Tuner.can_restore(folder):
        tuner = tune.Tuner.restore(
            folder, trainable=trainable, param_space=space, resume_unfinished=True, restart_errored=True
        )
    else:
        tuner = tune.Tuner(
            trainable,
            param_space=space,
            tune_config=_tune_config(base, trials, concurrent),
            run_config=tune.RunConfig(
                name=name, storage_path=storage, failure_config=tune.FailureConfig(max_failures=1), verbose=0
            ),
        )
    random.seed(base.loop.seed)
    np.random.seed(base.loop.seed)  # Tune's basic generator draws from the global one
    grid = tuner.fit()
    rows = [_row(base, grid[index]) for index in range(len(grid))]
    scored = [row for row in rows if row.score is not None]
    if not scored:
        raise ValueError(f"none of the {len(rows)} trials was validated; see {folder}")
    winner = max(scored, key=lambda row: row.score or 0.0)
    config = trial_config(base, winner.sample, winner.run.rsplit("-", 1)[-1])
    config = dataclasses.replace(config, name=winner.run)
    return rows, config, best(config, prepare(config))


def _tune_config(base: TrainConfig, trials: int, concurrent: int) -> tune.TuneConfig:
    epochs = base.loop.epochs
    return tune.TuneConfig(
        metric=score_name(base),
        mode="max",
        num_samples=trials,
        max_concurrent_trials=concurrent,
        scheduler=ASHAScheduler(
            time_attr="epoch", max_t=epochs + 1, grace_period=max(1, epochs // 3), reduction_factor=2
        ),
    )


def search_name(base: TrainConfig) -> str:
    """The search's own name; its trials' runs are called after it."""
    return base.name or f"search-{base.run_name}"


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
    fit = have // base.run.workers
    if fit < 1 and resources.local:
        raise ValueError(
            f"one trial takes {base.run.workers} workers x 1 {kind}, but this machine has {have}; "
            f"use --base.run.workers {max(have, 1)}"
        )
    return max(fit, 1)


def _row(base: TrainConfig, result: Any) -> Trial:
    """A trial's row, read from its run's folder: what Tune remembers may be stale after a restart."""
    sample = plain(result.config)
    config = trial_config(base, sample, result.metrics.get("trial_id", "") if result.metrics else "")
    try:
        history = ray.train.Result.from_path(run_folder(config))
        scores = [m[score_name(base)] for _, m in history.best_checkpoints or [] if score_name(base) in m]
    except RuntimeError:
        scores = []
    epochs = float((result.metrics or {}).get("epoch", 0.0))
    status = "failed" if result.error else "pruned" if epochs < base.loop.epochs else "done"
    return Trial(
        run=config.run_name, sample=sample, score=max(scores, default=None), epochs=epochs, status=status
    )


def table(rows: list[Trial], metric: str, winner: str) -> str:
    """The trials, best first."""
    keys = list(rows[0].sample)
    head = ["", "trial", *keys, "epochs", f"validation {metric}", "status"]
    lines = [head]
    for row in sorted(rows, key=lambda r: -(r.score or 0.0)):
        values = [f"{v:.2g}" if isinstance(v, float) else str(v) for v in row.sample.values()]
        score = "-" if row.score is None else f"{row.score:.4f}"
        mark = "*" if row.run == winner else ""
        lines.append([mark, row.run.rsplit("-", 1)[-1], *values, f"{row.epochs:.1f}", score, row.status])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)


def save_result(base: TrainConfig, rows: list[Trial], winner: str) -> None:
    """Note the finished search beside its trials."""
    filesystem, local = fsspec.core.url_to_fs(_result_path(base))
    document = {"winner": winner, "trials": [dataclasses.asdict(row) for row in rows]}
    filesystem.pipe_file(local, (json.dumps(document, indent=2) + "\n").encode())


def load_result(base: TrainConfig) -> tuple[list[Trial], str] | None:
    """The result of a search that was carried to its end before."""
    filesystem, local = fsspec.core.url_to_fs(_result_path(base))
    if not filesystem.exists(local):
        return None
    document = json.loads(filesystem.cat_file(local))
    return [Trial(**row) for row in document["trials"]], document["winner"]


def _result_path(base: TrainConfig) -> str:
    return f"{storage_path(base)}/{search_name(base)}/result.json"
