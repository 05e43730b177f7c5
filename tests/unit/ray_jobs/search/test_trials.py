"""The choice of the winner, and the result file of a search."""

import dataclasses
from pathlib import Path

import pytest

from ray_jobs.search.report import importances
from ray_jobs.search.trial_results import SearchResult, Trial, choose, load_result, table

SPEEDS = {"small": 900.0, "large": 300.0}


def trial(
    number: str,
    size: str,
    score: float | None,
    *,
    epochs: float = 3.0,
    status: str = "done",
    lr: float = 1e-3,
) -> Trial:
    return Trial(
        run=f"search-{number}",
        sample={"model.name": size, "optim.lr": lr},
        score=score,
        epochs=epochs,
        status=status,  # type: ignore[arg-type]
        curve=((1.0, 0.5), (2.0, score or 0.0)),
    )


def test_prefer_quality_takes_the_best_score() -> None:
    trials = [trial("a", "small", 0.79), trial("b", "large", 0.80)]
    assert choose(trials, SPEEDS, "quality", 0.05).number == "b"


def test_ties_prefer_cheaper_then_shorter() -> None:
    trials = [trial("a", "large", 0.8), trial("b", "small", 0.8), trial("c", "small", 0.8, epochs=2.0)]
    assert choose(trials, SPEEDS, "quality", 0.0).number == "c"


def test_prefer_cost_takes_cheapest_within_tolerance() -> None:
    trials = [trial("a", "large", 0.80), trial("b", "small", 0.78), trial("c", "small", 0.795)]
    assert choose(trials, SPEEDS, "cost", 0.03).number == "c"
    assert choose(trials, SPEEDS, "cost", 0.001).number == "a"


def test_depths_are_sizes_of_their_own() -> None:
    found = [trial("a", "small", 0.80), trial("b", "small", 0.79)]
    deep, shallow = (
        dataclasses.replace(each, sample=each.sample | {"model.layers": layers})
        for each, layers in zip(found, (16, 12), strict=True)
    )
    assert (deep.size, shallow.size) == ("small, 16 layers", "small, 12 layers")
    speeds = {deep.size: 100.0, shallow.size: 130.0}
    assert choose([deep, shallow], speeds, "cost", 0.02).number == "b"
    assert choose([deep, shallow], speeds, "quality", 0.02).number == "a"


def test_trial_without_score_is_never_chosen() -> None:
    trials = [trial("a", "small", None, status="failed"), trial("b", "large", 0.1)]
    assert choose(trials, SPEEDS, "cost", 1.0).number == "b"


def test_search_without_scores_shows_first_failure() -> None:
    lost = Trial(run="s-a", sample={}, score=None, epochs=0, status="failed", why="out of memory")
    with pytest.raises(ValueError, match=r"none of the 1 trials has a validation score.*out of memory"):
        choose([lost], {}, "quality", 0.0)


def test_result_round_trips(tmp_path: Path) -> None:
    trials = (trial("a", "small", 0.7), trial("b", "large", None, status="failed"))
    result = SearchResult(trials=trials, winner="search-a", speeds=SPEEDS)
    result.save(str(tmp_path / "result.json"))
    assert load_result(str(tmp_path / "result.json")) == result
    assert result.best.number == "a"
    assert load_result(str(tmp_path / "none.json")) is None


def test_table_is_sorted_and_marks_the_winner() -> None:
    lines = table([trial("a", "small", 0.7), trial("b", "large", 0.8)], "accuracy", "search-a").splitlines()
    assert lines[1].split()[:2] == ["b", "large"]
    assert lines[2].split()[:2] == ["*", "a"]


def test_decisive_setting_is_the_most_important() -> None:
    trials = tuple(
        trial(str(i), "small" if i % 2 else "large", 0.5 + 0.1 * (i % 3), lr=10.0 ** -(1 + i % 3))
        for i in range(12)
    )
    found = importances(SearchResult(trials=trials, winner="search-0", speeds={}))
    assert found["optim.lr"] > 0.9
    assert sum(found.values()) == pytest.approx(1.0)


def test_two_trials_give_no_importance() -> None:
    trials = (trial("a", "small", 0.7), trial("b", "large", 0.8))
    assert importances(SearchResult(trials=trials, winner="search-a", speeds={})) == {}
