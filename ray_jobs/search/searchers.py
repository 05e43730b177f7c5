"""Search algorithms: random, grid and Optuna's TPE."""

from typing import Any

from ray.tune.search import Searcher
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.optuna import OptunaSearch

from ray_jobs.search.trial_results import Propose


class ScoredReports(OptunaSearch):
    """Ray's Optuna search (TPE) that ignores reports without the metric, on which Ray's class fails.
    Checkpoints between validations and language-modeling steps send such reports."""

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if self.metric in result:
            super().on_trial_result(trial_id, result)


def make_searcher(kind: Propose, seed: int, concurrent: int) -> Searcher | BasicVariantGenerator:
    """Return the search algorithm for `tune.TuneConfig`."""
    if kind == "optuna":
        return ScoredReports(seed=seed)
    return BasicVariantGenerator(random_state=seed, max_concurrent=concurrent)
