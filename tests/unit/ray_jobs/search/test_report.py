"""The search report: its figures, the frontier, and its JSON."""

import json

import numpy as np
import pytest

from ray_jobs.search.report import search_document
from ray_jobs.search.report_figures import frontier, label_heights, score_scale, setting_scale
from ray_jobs.search.search import Search
from ray_jobs.search.trial_results import SearchResult, Trial
from tweetelm.config.train_config import TrainConfig
from tweetelm.evaluation.report.write import document_files

SIZES = {"scratch-1m": 300.0, "scratch-4m": 100.0}


def trial(number: int, size: str, scores: tuple[float, ...], lr: float = 1e-3) -> Trial:
    status = "done" if len(scores) == 2 else "pruned" if scores else "failed"
    return Trial(
        run=f"s-{number}",
        sample={"model.name": size, "optim.lr": lr},
        score=max(scores, default=None),
        epochs=float(len(scores)),
        status=status,
        curve=tuple((float(epoch + 1), score) for epoch, score in enumerate(scores)),
    )


TRIALS = (
    trial(0, "scratch-4m", (0.7, 0.8), 1e-3),
    trial(1, "scratch-1m", (0.5, 0.6), 2e-3),
    trial(2, "scratch-1m", (0.55,), 3e-3),
    trial(3, "scratch-4m", (), 4e-3),
)
PLAN = Search(base=TrainConfig(task="hate"), space={}, count=4, concurrent=1)


def files(trials: tuple[Trial, ...] = TRIALS, speeds: dict[str, float] = SIZES) -> dict[str, str]:
    result = SearchResult(trials=trials, winner="s-0", speeds=speeds)
    return document_files(search_document(PLAN, result, ["synthetic"]))


def test_frontier_has_the_points_that_no_other_beats() -> None:
    points = [(100.0, 0.8), (100.0, 0.7), (300.0, 0.6), (300.0, 0.55), (200.0, 0.5), (200.0, 0.6)]
    assert frontier(points) == [(100.0, 0.8), (300.0, 0.6)]


def test_frontier_of_random_points_is_pareto_optimal() -> None:
    points = [tuple(map(float, pair)) for pair in np.random.default_rng(0).integers(0, 9, (60, 2))]
    optimal = {
        (x, y) for x, y in points if not any(a >= x and b >= y and (a, b) != (x, y) for a, b in points)
    }
    found = frontier([(x, y) for x, y in points])
    assert set(found) == optimal
    assert found == sorted(found)


def test_curve_labels_with_the_same_end_do_not_overlap() -> None:
    curves = [[(1.0, 0.5)], [(1.0, 0.501)], [(1.0, 0.9)], [(2.0, 0.5)]]
    heights = label_heights(curves)
    assert heights[0] == 0.5
    assert heights[1] == pytest.approx(0.5 + 0.05 * 0.4)
    assert heights[2:] == [0.9, 0.5]


def test_settings_lie_on_a_scale_by_their_type() -> None:
    rates = setting_scale("optim.lr", [1e-4, 1e-3, 1e-2, 1e-1])
    assert rates.positions == pytest.approx((0, 1 / 3, 2 / 3, 1))  # logarithmic
    assert rates.ticks == ((0.0, "0.0001"), (1.0, "0.1"))
    assert setting_scale("loop.epochs", [4, 2, 3]).positions == (1.0, 0.0, 0.5)
    assert setting_scale("model.name", ["a"]).ticks == ((0.0, "a"),)
    assert score_scale("macro_f1", [0.5, None, 0.7]).positions == (0.0, None, 1.0)


def test_figures_label_every_trial_and_setting() -> None:
    made = files()
    assert all(f">{number}<" in made["curves.svg"] for number in "012")
    assert all(key in made["parallel-coordinates.svg"] for key in ("model.name", "optim.lr", "macro_f1"))
    assert all(size in made["quality-cost.svg"] for size in SIZES)


def test_same_search_gives_the_same_bytes() -> None:
    assert files() == files()


def test_json_has_every_trial_and_no_svg() -> None:
    document = json.loads(files()["report.json"])
    titles = [section["title"] for section in document["sections"]]
    assert titles[:2] == ["What was chosen", "Every trial"]
    assert [row[1] for row in document["sections"][1]["tables"][0]["rows"]] == ["0", "1", "2", "3"]
    assert "svg" not in files()["report.json"]


def test_search_of_one_size_has_no_cost_figure() -> None:
    assert "quality-cost.svg" not in files(speeds={})


def test_search_with_one_validated_trial_has_a_report() -> None:
    assert "curves.svg" in files(trials=(TRIALS[0], TRIALS[3]), speeds={"scratch-4m": 100.0})
