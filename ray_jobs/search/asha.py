"""Successive halving (ASHA, arXiv 1810.05934) whose decisions survive the search's process."""

import json
from dataclasses import asdict, dataclass
from types import NoneType
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler

from tweetelm.files import object_storage
from tweetelm.files.json_file import check_fields, parse_object

# Not beside Tune's own files: restoring, it copies each .json there, and writes that old copy back later.
PRUNED_FILE = "pruning/rungs.json"


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """Why a trial was ended: after `epoch`, its `score` was below `cutoff`, the median of those before it."""

    epoch: float
    score: float
    cutoff: float


class Pruner(AsyncHyperBandScheduler):
    """Ray's ASHA by epochs of classification, halving at each rung.

    Ray forgets a scheduler's rungs when a search is interrupted, and prunes less after it; here they are
    kept in a file beside the search, with the reason for each decision.
    """

    def __init__(self, path: str, *, grace: int, epochs: int) -> None:
        super().__init__(time_attr="epoch", max_t=epochs + 1, grace_period=grace, reduction_factor=2)
        self.path = path
        self.reasons: dict[str, dict[str, float]] = {}
        self._read = False

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        if not self._read:
            self._recall()
        super().on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        before = self._cutoff(trial.trial_id, result)
        decision: str = super().on_trial_result(tune_controller, trial, result)
        if decision == self.STOP and before is not None:
            score = result[self._metric]  # type: ignore[index]  # a cutoff means that there is a metric
            reason = Pruned(epoch=result["epoch"], score=score, cutoff=before)
            self.reasons[trial.trial_id] = asdict(reason)
        self._remember()
        return decision

    def _cutoff(self, trial: str, result: dict[str, Any]) -> float | None:
        """What a result must reach at the rung that it has come to."""
        if self._metric is None or self._metric not in result:
            return None
        for milestone, recorded in self._brackets[0]._rungs:
            if result["epoch"] >= milestone and trial not in recorded:
                cutoff = self._brackets[0].cutoff(recorded)
                return None if cutoff is None else float(cutoff)  # type: ignore[arg-type]
        return None

    def _remember(self) -> None:
        rungs = [[float(milestone), scores] for milestone, scores in self._brackets[0]._rungs]
        document = json.dumps({"rungs": rungs, "pruned": self.reasons}, indent=2) + "\n"
        object_storage.write(self.path, document.encode())

    def _recall(self) -> None:
        self._read = True
        document = _load(self.path)
        self.reasons = document.get("pruned", {})
        stored = dict(document.get("rungs", []))
        for milestone, scores in self._brackets[0]._rungs:
            scores.update(stored.get(float(milestone), {}))


def pruned_trials(path: str) -> dict[str, Pruned]:
    """Why each pruned trial was, by the trial's id."""
    return {trial: Pruned(**reason) for trial, reason in _load(path).get("pruned", {}).items()}


def _load(path: str) -> dict[str, Any]:
    found = object_storage.read(path)
    if found is None:
        return {}
    remedy = "delete it and type the command again: the search prunes by what its trials report from then on"
    document = parse_object(found, path, remedy, {"rungs": list, "pruned": dict})
    try:
        for milestone, scores in document["rungs"]:
            check_fields({"epoch": milestone, **scores}, dict.fromkeys(["epoch", *scores], (float, NoneType)))
        for reason in document["pruned"].values():
            Pruned(**reason)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); {remedy}") from error
    return document
