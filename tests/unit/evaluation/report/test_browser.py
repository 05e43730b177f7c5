"""Reports in a browser: numbers, layout on a phone and a wide screen, contrast, print."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from ray_jobs.search.report import search_document
from ray_jobs.search.search import Search
from ray_jobs.search.spaces import find_space, samples
from ray_jobs.search.trial_results import SearchResult, Trial, choose
from tests.support.browser import BROWSER, PHONE_WIDTH
from tests.support.checkpoints import checkpoint
from tests.support.fakes import card
from tests.support.report_page import (
    NUMBER,
    Scheme,
    low_contrast,
    numbers_missing_in_json,
    opened,
    text_without_figures,
    unfold,
)
from tests.support.served_page import chromium
from tweetelm.config.train_config import TrainConfig
from tweetelm.data import SAMPLE, load, provenance
from tweetelm.evaluation.evaluate import calibrated, evaluate
from tweetelm.evaluation.report.context import ReportContext
from tweetelm.evaluation.report.write import document_files, write
from tweetelm.predictor import Predictor
from tweetelm.tasks import DEEPFAKE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome is installed"),
]


def write_evaluation(folder: Path) -> None:
    """The report of an untrained model."""
    model = checkpoint(folder / "model", DEEPFAKE)
    rows, source = load(DEEPFAKE, SAMPLE), provenance(DEEPFAKE, SAMPLE)
    found = calibrated(evaluate(Predictor.load(model, precision="float32"), rows), rows)
    made = card(task="deepfake", metric="accuracy", metrics=found.metrics)
    write(ReportContext(evaluation=found, dataset=rows, provenance=source, card=made), folder)


def write_search(folder: Path) -> None:
    """The report of a search with twelve trials, some of them pruned, one failed."""
    chance, space = random.Random(0), find_space("scratch")
    tried = [trial(number, sample, chance) for number, sample in enumerate(samples(space, 12, 0))]
    speeds = {"scratch-1m": 3210.9, "scratch-4m": 1234.5}
    result = SearchResult(
        trials=tuple(tried), winner=choose(tried, speeds, "quality", 0.01).run, speeds=speeds
    )
    plan = Search(base=TrainConfig(task="hate"), space=space, count=12, concurrent=2)
    for name, text in document_files(search_document(plan, result, ["trained from scratch"])).items():
        (folder / name).write_text(text, encoding="utf-8")


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
    path: Path = tmp_path_factory.mktemp("browser")
    request.param(path)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def test_every_number_shown_is_in_the_json(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "report.html") as page:
        unfold(page)
        text = text_without_figures(page)
    least = 300 if (folder / "metrics.json").exists() else 100  # an evaluation has more numbers than a search
    assert len(NUMBER.findall(text)) > least
    assert numbers_missing_in_json(folder, text) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_does_not_scroll_sideways(browser: Browser, folder: Path, scheme: Scheme) -> None:
    with opened(browser, folder / "report.html", scheme=scheme) as page:
        unfold(page)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE_WIDTH
        boxes = page.eval_on_selector_all(".box", "all => all.map(box => box.scrollWidth > box.clientWidth)")
        assert any(boxes)  # some tables are wider than the page; they scroll inside their box
        widths = page.eval_on_selector_all("svg", "all => all.map(svg => svg.getBoundingClientRect().right)")
        assert widths
        assert max(widths) <= PHONE_WIDTH


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser: Browser, folder: Path, scheme: Scheme) -> None:
    with opened(browser, folder / "report.html", scheme=scheme) as page:
        unfold(page)
        assert low_contrast(page) == []


def test_figures_are_beside_their_text_on_wide_screens(browser: Browser, folder: Path) -> None:
    beside = """pairs => pairs.map(pair => {
      const [text, figures] = [...pair.children].map(child => child.getBoundingClientRect());
      return figures.left >= text.right && Math.abs(figures.top - text.top) < 2;
    })"""
    with opened(browser, folder / "report.html", width=1280) as page:
        wide = page.eval_on_selector_all(".pair", beside)
    with opened(browser, folder / "report.html") as page:
        narrow = page.eval_on_selector_all(".pair", beside)
    assert len(wide) >= 4
    assert all(wide)
    assert not any(narrow)


def test_first_screen_has_notice_sentence_and_figure(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "report.html", width=1280) as page:
        for part in (".notice", "#s0 p", "#s0 svg"):
            box = page.locator(part).first.bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= 844


def test_tables_are_folded_on_screen_and_open_in_print(browser: Browser, folder: Path) -> None:
    tables = "[...document.querySelectorAll('details:not([open]) table')]"
    with opened(browser, folder / "report.html", width=1280) as page:
        assert page.evaluate(f"{tables}.filter(table => !table.checkVisibility()).length") >= 4
        assert not page.evaluate(f"{tables}.some(table => table.checkVisibility())")
        page.emulate_media(media="print")
        page.wait_for_function(f"{tables}.every(table => table.checkVisibility())")
