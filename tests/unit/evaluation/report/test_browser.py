"""Reports as a browser shows them: no number that the JSON lacks, no sideways scrolling on a telephone."""

import random
from pathlib import Path
from typing import Any

import pytest

from ray_jobs.search.report import search_document
from ray_jobs.search.search import Search
from ray_jobs.search.spaces import find_space, samples
from ray_jobs.search.trials import SearchResult, Trial, choose
from tests.support.browser import BROWSER, NUMBER, TELEPHONE, look, not_in_the_json
from tests.support.checkpoints import checkpoint
from tests.support.fakes import card
from tweetelm.config.train_config import TrainConfig
from tweetelm.data import SAMPLE, load, provenance
from tweetelm.evaluation.evaluate import calibrated, evaluate
from tweetelm.evaluation.report.context import Evidence
from tweetelm.evaluation.report.write import document_files, write
from tweetelm.predictor import Predictor
from tweetelm.tasks import DEEPFAKE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome is installed"),
]


def write_evaluation(place: Path) -> None:
    """The report of a model that has learned nothing."""
    model = checkpoint(place / "model", DEEPFAKE)
    rows, source = load(DEEPFAKE, SAMPLE), provenance(DEEPFAKE, SAMPLE)
    found = calibrated(evaluate(Predictor.load(model, precision="float32"), rows), rows)
    made = card(task="deepfake", metric="accuracy", metrics=found.metrics)
    write(Evidence(evaluation=found, dataset=rows, provenance=source, card=made), place)


def write_search(place: Path) -> None:
    """The report of a search with twelve trials, some of them pruned, one failed."""
    chance, space = random.Random(0), find_space("scratch")
    tried = [trial(number, sample, chance) for number, sample in enumerate(samples(space, 12, 0))]
    speeds = {"scratch-1m": 3210.9, "scratch-4m": 1234.5}
    result = SearchResult(
        trials=tuple(tried), winner=choose(tried, speeds, "quality", 0.01).run, speeds=speeds
    )
    plan = Search(base=TrainConfig(task="hate"), space=space, count=12, concurrent=2)
    for name, text in document_files(search_document(plan, result, ["trained from scratch"])).items():
        (place / name).write_text(text, encoding="utf-8")


def trial(number: int, sample: dict[str, Any], chance: random.Random) -> Trial:
    if number == 11:
        return Trial(
            run=f"s-{number:08x}", sample=sample, score=None, epochs=0.0, status="failed", why="boom"
        )
    pruned, epochs = number % 3 == 0, sample["loop.epochs"]
    curve = tuple((float(epoch + 1), chance.uniform(0.5, 0.8)) for epoch in range(1 if pruned else epochs))
    return Trial(
        run=f"s-{number:08x}",
        sample=sample,
        score=max(score for _, score in curve),
        epochs=float(len(curve)),
        status="pruned" if pruned and epochs > 1 else "done",
        why="0.5123 < 0.6234 at epoch 1" if pruned and epochs > 1 else "",
        seconds=chance.uniform(10, 400),
        curve=curve,
    )


@pytest.fixture(scope="module", params=[write_evaluation, write_search], ids=["evaluation", "search"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("browser")
    request.param(place)
    return place


@pytest.fixture(scope="module")
def seen(folder: Path) -> dict[str, Any]:
    return look(folder)


def test_every_number_that_is_shown_stands_in_the_json(folder: Path, seen: dict[str, Any]) -> None:
    least = 300 if (folder / "metrics.json").exists() else 100  # an evaluation has more to tell than a search
    assert len(NUMBER.findall(seen["text"])) > least
    assert not_in_the_json(folder, seen["text"]) == []


def test_the_page_does_not_scroll_sideways_on_a_telephone(seen: dict[str, Any]) -> None:
    assert seen["width"] == TELEPHONE
    assert seen["reach"] <= TELEPHONE
    assert seen["wide"] > 0  # some tables are wider, and scroll inside their box
    assert seen["drawings"]
    assert max(seen["drawings"]) <= TELEPHONE
