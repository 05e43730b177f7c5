"""The table of TweetEval's tasks: published systems, this model, and means over the tasks of a row."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from ray_jobs import seeds
from ray_jobs.tweeteval import Arguments, benchmark_page, benchmark_tasks, tweeteval
from tests.support.own_tasks import write_tweeteval
from tests.support.report import rows_of
from tweetelm.evaluation.report.document import Interval, Table
from tweetelm.tasks import Task

TASKS = benchmark_tasks()
SYSTEMS = {
    "SVM": 53.5,
    "FastText": 58.1,
    "LSTM": 56.5,
    "RoBERTa-base": None,  # the README's mean, 61.3, is not that of its row
    "RoBERTa, from scratch on tweets": 61.4,
    "RoBERTa, further trained on tweets": None,  # 65.2 is the mean of the best run
    "TimeLM 2021": 66.2,
    "BERTweet": 67.9,
}  # with the mean of seven tasks in the README of TweetEval


def scores(task: Task, *values: float) -> dict[str, dict[str, dict[str, Any]]]:
    return seeds.spreads(
        [{split: {task.metric: value} for split in ("validation", "test")} for value in values]
    )


def tables(**values: tuple[float, ...]) -> tuple[Table, Table]:
    named = {task.name: task for task in TASKS}
    results = {name: scores(named[name], *found) for name, found in values.items()}
    page = benchmark_page(TASKS, results, "models/tiny/", [])
    return page.sections[0].tables[0], page.sections[1].tables[0]


def test_every_task_has_the_published_systems() -> None:
    assert [task.name for task in TASKS] == [
        "emoji", "emotion", "hate", "irony", "offensive", "sentiment", "stance"
    ]  # fmt: skip
    for task in TASKS:
        assert {each.system for each in task.published if each.source != "measured"} == set(SYSTEMS), (
            task.name
        )


def test_untrained_tasks_are_empty_and_counted() -> None:
    benchmark, trained = tables(hate=(0.4, 0.6), irony=(0.6, 0.6))
    rows = rows_of(benchmark)
    assert rows["→ tiny"][:2] == (None, None)
    assert rows["→ tiny"][2:4] == pytest.approx((0.5, 0.6))
    assert rows["→ tiny"][4:7] == (None, None, None)
    assert rows["→ tiny"][7:] == pytest.approx((0.55, 2, 0.55))
    assert rows["BERTweet"][8:] == pytest.approx((7, (0.564 + 0.821) / 2))
    assert [row[0] for row in benchmark.rows] == ["→ tiny", *dict.fromkeys(SYSTEMS)]
    assert [(row[0], row[-1]) for row in trained.rows] == [("hate", 2), ("irony", 2)]


def test_mean_of_tasks_has_the_interval_over_seeds() -> None:
    benchmark, _ = tables(hate=(0.4, 0.6), irony=(0.7, 0.5))
    mean = benchmark.rows[0][8]
    assert mean == Interval(value=pytest.approx(0.55), low=pytest.approx(0.55), high=pytest.approx(0.55))
    hate = benchmark.rows[0][3]
    assert isinstance(hate, Interval)
    assert hate.low < 0.4 < 0.6 < hate.high


def test_one_seed_has_no_interval() -> None:
    benchmark, trained = tables(stance=(0.7,))
    assert benchmark.rows[0][-4:] == (0.7, 0.7, 1, 0.7)
    assert trained.rows == (("stance", "mean F1 of against, favor", 0.7, 0.7, 1),)


@pytest.mark.parametrize("system", [system for system, mean in SYSTEMS.items() if mean])
def test_means_of_seven_are_near_the_published_ones(system: str) -> None:
    rows = rows_of(tables(hate=(0.5,))[0])
    assert rows[system][8] == 7
    assert rows[system][7] * 100 == pytest.approx(SYSTEMS[system], abs=0.15)


def test_folder_without_tasks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"data has the data of no task; expected folders .*git clone"
    ):
        tweeteval(Arguments())


def test_damaged_task_is_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_tweeteval(tmp_path / "data" / "irony", ("non_irony", "irony"), 4)
    write_tweeteval(tmp_path / "data" / "stance" / "a", ("none", "against", "favor"), 4)
    (tmp_path / "data" / "stance" / "a" / "test_labels.txt").write_text("0\n1\n")
    arguments = Arguments()
    with pytest.raises(ValueError, match=r"test_text\.txt has 6 rows and .*test_labels\.txt has 2"):
        tweeteval(dataclasses.replace(arguments, tasks=TASKS))
    assert not (tmp_path / "runs").exists()
