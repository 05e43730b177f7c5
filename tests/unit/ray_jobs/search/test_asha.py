"""The pruner decides as ASHA does, says why, and goes on after an interruption as if there had been none."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyarrow.fs import LocalFileSystem
from ray.tune.execution.experiment_state import _ExperimentCheckpointManager

from ray_jobs.search.asha import PRUNED_FILE, Pruned, Pruner, pruned_trials

METRIC = "validation_accuracy"


class Trial:
    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


def pruner(folder: Path) -> Pruner:
    made = Pruner(str(folder / PRUNED_FILE), grace=1, epochs=4)
    made.set_search_properties(METRIC, "max")
    return made


def tell(pruner: Pruner, name: str, epoch: float, score: float | None) -> str:
    trial, result = Trial(name), {"epoch": epoch} | ({} if score is None else {METRIC: score})
    if name not in pruner._trial_info:
        pruner.on_trial_add(None, trial)
    return pruner.on_trial_result(None, trial, result)


def test_trial_below_rung_median_is_pruned(tmp_path: Path) -> None:
    asha = pruner(tmp_path)
    assert tell(asha, "a", 1, 0.8) == "CONTINUE"
    assert tell(asha, "b", 1, 0.6) == "STOP"
    assert pruned_trials(str(tmp_path / PRUNED_FILE)) == {"b": Pruned(epoch=1, score=0.6, cutoff=0.8)}


def test_report_without_score_prunes_nothing(tmp_path: Path) -> None:
    asha = pruner(tmp_path)
    tell(asha, "a", 1, 0.8)
    assert tell(asha, "b", 0, None) == "CONTINUE"
    assert pruned_trials(str(tmp_path / PRUNED_FILE)) == {}


@pytest.mark.parametrize("stop_after", range(1, 8))
def test_interrupted_search_prunes_identically(tmp_path: Path, stop_after: int) -> None:
    results: list[tuple[str, float, float]] = [
        ("a", 1, 0.5),
        ("b", 1, 0.7),
        ("a", 2, 0.6),
        ("b", 2, 0.5),
        ("c", 1, 0.65),
        ("d", 1, 0.4),
        ("c", 2, 0.4),
        ("e", 1, 0.9),
    ]

    def decisions(folder: Path, restart_at: int | None) -> list[Any]:
        folder.mkdir()
        asha, said = pruner(folder), []
        for number, result in enumerate(results):
            if number == restart_at:
                asha = pruner(folder)
            said.append(tell(asha, *result))
        return said

    assert decisions(tmp_path / "cut", stop_after) == decisions(tmp_path / "whole", None)
    assert "STOP" in decisions(tmp_path / "again", None)


def test_restore_does_not_overwrite_the_rungs(tmp_path: Path) -> None:
    tell(pruner(tmp_path / "search"), "a", 1, 0.8)
    places = SimpleNamespace(
        storage_filesystem=LocalFileSystem(),
        experiment_fs_path=str(tmp_path / "search"),
        experiment_driver_staging_path=str(tmp_path / "staging"),
    )
    tune = object.__new__(_ExperimentCheckpointManager)
    tune._storage = places
    (tmp_path / "search" / "tuner.json").write_text("{}")
    tune.sync_down_experiment_state()
    assert [path.name for path in (tmp_path / "staging").iterdir()] == ["tuner.json"]


def test_no_pruned_trials_before_pruning(tmp_path: Path) -> None:
    assert pruned_trials(str(tmp_path / PRUNED_FILE)) == {}
