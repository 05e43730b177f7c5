"""Asynchronous successive halving (ASHA, arXiv 1810.05934) with decisions that survive a restart."""

import json
from dataclasses import asdict, dataclass
from types import NoneType
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler

from tweetelm.files import object_storage
from tweetelm.files.json_file import check_fields, parse_object

# In a subfolder: on restore, Tune copies each .json beside its own files and later writes the old copy back.
PRUNED_FILE = "pruning/rungs.json"


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """Why a trial was pruned: after `epoch`, its `score` was below `cutoff`, the median of earlier trials."""

    epoch: float
    score: float
    cutoff: float


class Pruner(AsyncHyperBandScheduler):
    """Ray's ASHA over classification epochs with a reduction factor of 2.

    Ray loses the rungs when a search is interrupted, and then prunes less. This class stores them in a file
    in the search's folder, with the reason for each decision.
    """

    def __init__(self, path: str, *, grace: int, epochs: int) -> None:
        super().__init__(time_attr="epoch", max_t=epochs + 1, grace_period=grace, reduction_factor=2)
        self.path = path
        self.reasons: dict[str, dict[str, float]] = {}
        self._read = False

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        if not self._read:
            self._load_rungs()
        super().on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        before = self._cutoff(trial.trial_id, result)
        decision: str = super().on_trial_result(tune_controller, trial, result)
        if decision == self.STOP and before is not None:
            score = result[self._metric]  # type: ignore[index]  # a cutoff implies a metric
            reason = Pruned(epoch=result["epoch"], score=score, cutoff=before)
            self.reasons[trial.trial_id] = asdict(reason)
        self._save_rungs()
        return decision

    def _cutoff(self, trial: str, result: dict[str, Any]) -> float | None:
        """Return the score that a result must reach at its rung; None if there is no cutoff yet."""
        if self._metric is None or self._metric not in result:
            return None
        for milestone, recorded in self._brackets[0]._rungs:
            if result["epoch"] >= milestone and trial not in recorded:
                cutoff = self._brackets[0].cutoff(recorded)
                return None if cutoff is None else float(cutoff)  # type: ignore[arg-type]
        return None

    def _save_rungs(self) -> None:
        rungs = [[float(milestone), scores] for milestone, scores in self._brackets[0]._rungs]
        document = json.dumps({"rungs": rungs, "pruned": self.reasons}, indent=2) + "\n"
        object_storage.write(self.path, document.encode())

    def _load_rungs(self) -> None:
        self._read = True
        document = _load(self.path)
        self.reasons = document.get("pruned", {})
        stored = dict(document.get("rungs", []))
        for milestone, scores in self._brackets[0]._rungs:
            scores.update(stored.get(float(milestone), {}))


def pruned_trials(path: str) -> dict[str, Pruned]:
    """Return the reason of each pruned trial by trial id.

    Raises:
        ValueError: the file is damaged.
    """
    return {trial: Pruned(**reason) for trial, reason in _load(path).get("pruned", {}).items()}


def _load(path: str) -> dict[str, Any]:
    found = object_storage.read(path)
    if found is None:
        return {}
    remedy = "delete it and run the command again; the search then prunes by new reports only"
    document = parse_object(found, path, remedy, {"rungs": list, "pruned": dict})
    try:
        for milestone, scores in document["rungs"]:
            check_fields({"epoch": milestone, **scores}, dict.fromkeys(["epoch", *scores], (float, NoneType)))
        for reason in document["pruned"].values():
            Pruned(**reason)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); {remedy}") from error
    return document
