"""Logs a finished search to Weights & Biases: its trials as a table, and the parallel coordinates."""

import dataclasses
import os

from ray_jobs.search.report_figures import parallel_figure
from ray_jobs.search.search import Search
from ray_jobs.search.trial_results import SearchResult, best_first
from ray_jobs.training.run_storage import RunStorage
from tweetelm.evaluation.report.plots import standalone
from tweetelm.tracking.wandb_settings import has_api_key
from tweetelm.tracking.weights_biases import open_wandb


def track_search(plan: Search, result: SearchResult) -> None:
    """Log a run with the search's name; its trials are runs of the same group."""
    tracking = dataclasses.replace(plan.base.tracking, group=plan.base.tracking.group or plan.name)
    config = dataclasses.replace(plan.base, name=plan.name, tracking=tracking)
    storage = RunStorage(plan.folder)
    key = has_api_key(os.environ)
    tracker = open_wandb(config, storage.path, api_key_present=key, environ=os.environ, place=plan.folder)
    if tracker is None:
        return
    metric, keys = plan.base.task.metric, tuple(result.trials[0].sample)
    rows = [
        (trial.number, *(str(trial.sample[key]) for key in keys), trial.score, trial.epochs, trial.seconds)
        for trial in best_first(result.trials)
    ]
    tracker.table("trials", ("trial", *keys, f"validation_{metric}", "epochs", "seconds"), rows)
    tracker.figure("parallel_coordinates", standalone(parallel_figure(result, metric).svg))
    tracker.finish({"best_trial": result.best.number, f"validation_{metric}": result.best.score})
    storage.close()
