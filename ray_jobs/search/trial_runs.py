"""The training runs of a search: names, configurations and results of trials."""

import dataclasses
import logging
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import ray
from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback

from ray_jobs.cluster.connect import Resources
from ray_jobs.run_dir import hold
from ray_jobs.search.asha import Pruned
from ray_jobs.search.spaces import plain
from ray_jobs.search.trial_results import Trial
from ray_jobs.training.launcher import score_name, scored_checkpoints, train
from tweetelm.config.overrides import override
from tweetelm.config.train_config import TrainConfig, preparation_key
from tweetelm.files.json_file import parse_object

if TYPE_CHECKING:
    from tweetelm.training.prepare import Prepared

Store = dict[str, "ray.ObjectRef[Prepared]"]  # by `preparation_key`
log = logging.getLogger(__name__)


def search_name(base: TrainConfig) -> str:
    """Return the name of a search."""
    return base.name or f"search-{base.run_name}"


def trial_config(base: TrainConfig, sample: dict[str, Any], trial: str) -> TrainConfig:
    """Return the configuration of a trial: the base with the sample's values, and a name that is stable
    across restarts."""
    tracking = dataclasses.replace(base.tracking, group=search_name(base))
    name = f"{search_name(base)}-{trial}"
    return dataclasses.replace(override(base, sample), name=name, tracking=tracking)


def run_trial(sample: dict[str, Any], base: TrainConfig, resources: Resources, prepared: Store) -> None:
    """Train one trial, in a process of its own, which Ray Tune starts."""
    config = trial_config(base, plain(sample), tune.get_context().get_trial_id())
    try:
        with hold(config, under=search_name(base)):
            found = look_up(prepared, config, resources)
            train(config, resources, found, callbacks=[TuneReportCallback()], quiet=True)
    except KeyboardInterrupt:  # the search is stopped: returning now would end the trial
        threading.Event().wait()


def look_up(prepared: Store, config: TrainConfig, resources: Resources) -> "ray.ObjectRef[Prepared]":
    """What was prepared for such a trial; prepared now if the space varies the data or the text too."""
    stored = prepared.get(preparation_key(config))
    if stored is None:
        from ray_jobs.training.teaching import taught  # torch, which most trial processes do not need
        from tweetelm.training.prepare import prepare

        stored = ray.put(taught(config, prepare(config), resources))
    return stored


def read_trials(base: TrainConfig, grid: tune.ResultGrid, pruned: dict[str, Pruned]) -> tuple[Trial, ...]:
    """Read every trial from its reports and its run folder; Tune's own results may be stale after a restart.

    Args:
        base: Shared settings of the search.
        grid: Result of Tune.
        pruned: Reasons of the pruned trials by trial id.
    """
    started = grid._experiment_analysis.trials  # the result of a trial that failed at once has no id
    return tuple(_trial(base, t.config, t.trial_id, grid[i], pruned) for i, t in enumerate(started))


def _trial(
    base: TrainConfig, proposed: dict[str, Any], number: str, result: Any, pruned: dict[str, Pruned]
) -> Trial:
    sample, metric = plain(proposed), score_name(base)
    config = trial_config(base, sample, number)
    reports = _reports(result)
    curve = _curve(reports, metric)
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
        seconds=_trained(reports),
        curve=curve,
    )


def _curve(reports: list[dict[str, Any]], metric: str) -> tuple[tuple[float, float], ...]:
    """Return (epoch, score) of each validation, in order; steps repeated after an interruption count once."""
    validated = {report["step"]: report for report in reports if metric in report}
    return tuple((float(validated[s]["epoch"]), float(validated[s][metric])) for s in sorted(validated))


def _trained(reports: list[dict[str, Any]]) -> float:
    """Return the seconds of training; the workers' clocks restart after each interruption."""
    clocks = [float(report.get("seconds", 0.0)) for report in reports]
    return sum(now for now, after in pairwise([*clocks, 0.0]) if after < now)


def _reports(result: Any) -> list[dict[str, Any]]:
    """Return all reports of a trial; Tune's dataframe has only the columns of the first report."""
    path = f"{result.path}/result.json"
    if not result.filesystem.get_file_info(path).is_file:
        return []
    with result.filesystem.open_input_stream(path) as file:
        lines = file.readall().splitlines()
    return [report for line in lines if (report := _report(line, path)) is not None]


def _report(line: bytes, path: str) -> dict[str, Any] | None:
    """Parse a report; returns None with a warning if the line is incomplete because its process was
    killed."""
    try:
        return parse_object(line, path, "this report of the trial is ignored")
    except ValueError as error:
        log.warning("%s", error)
        return None
