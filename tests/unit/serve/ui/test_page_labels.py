"""Cards of models with more than two labels."""

import dataclasses
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from serve.api import create_api
from serve.client import post
from serve.inference.engine import Engine
from tests.support.browser import BROWSER
from tests.support.fake_predictor import STANCE, FakePredictor
from tests.support.http_server import serving
from tests.support.served_page import card, classify, tweet, visiting
from tweetelm.tasks import Task

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome is installed"),
]
TEN = dataclasses.replace(
    STANCE,
    name="digits",
    question="Which digit is most frequent?",
    labels=tuple(f"digit-{n}" for n in range(10)),
    moderation=(),
)
TEXT = "a 1 1 2 0"  # P: none 1/4, against 2/4, favor 1/4


@pytest.fixture
def url() -> Iterator[str]:
    models = {"stance": FakePredictor(STANCE), "digits": FakePredictor(TEN), "hate": FakePredictor("hate")}
    with serving(create_api(Engine(models))) as url:  # type: ignore[arg-type]
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with visiting(browser, url) as page:
        expect(card(page, "hate")).to_be_visible()
        yield page


def bars(page: Page, task: Task) -> list[tuple[str, float]]:
    """Return labels and probabilities of the bars that a card shows."""
    shown = [bar for bar in card(page, task).locator(".bars li").all() if bar.is_visible()]
    return [
        (bar.locator("span").first.inner_text(), float(bar.locator("data").get_attribute("value") or "nan"))
        for bar in shown
    ]


def test_card_has_a_bar_per_label_sorted(page: Page, url: str) -> None:
    classify(page, TEXT)
    found = post(f"{url}/v1/classify", {"model": "stance", "input": TEXT})["data"][0]
    expect(card(page, STANCE).locator("[data-is=label]")).to_have_text(found["label"])
    expected = sorted(zip(STANCE.labels, found["probs"], strict=True), key=lambda one: -one[1])
    assert bars(page, STANCE) == expected
    facts = " ".join(card(page, STANCE).locator("dl").inner_text().split())
    assert facts == "Probability of against 50.0 % Version v1"
    expect(card(page, STANCE).get_by_text("more")).to_be_hidden()


def test_bars_after_the_eighth_are_folded(page: Page) -> None:
    classify(page, "9988 7")
    assert [label for label, _ in bars(page, TEN)][:3] == ["digit-8", "digit-9", "digit-7"]
    assert len(bars(page, TEN)) == 8
    card(page, TEN).get_by_text("2 more").click()
    assert len(bars(page, TEN)) == 10


def test_threshold_is_shown_for_two_labels_only(page: Page) -> None:
    expect(card(page, "hate").get_by_text("Threshold")).to_be_visible()
    expect(card(page, STANCE).get_by_text("Threshold")).to_be_hidden()
    expect(card(page, STANCE).get_by_text("none, against, favor")).to_be_visible()


def test_words_name_the_predicted_label(page: Page) -> None:
    classify(page, TEXT)
    page.get_by_role("button", name="Which words? (stance)").click()
    panel = card(page, STANCE)
    expect(panel.get_by_text("how far the log-odds of against fall")).to_be_visible()
    expect(panel.locator("ol.top li").first).to_contain_text("toward against: 1")


def test_lines_show_the_predicted_label_of_three(page: Page) -> None:
    tweet(page).fill("0\n1\n2 2 2 1\n0 0")
    page.get_by_role("button", name="Classify").click()
    page.get_by_role("button", name="One tweet a line").click()
    cells = page.locator("#verdicts tbody td:nth-child(2)")
    expect(cells).to_have_text(["none 100.0 %", "against 100.0 %", "favor 75.0 %", "none 100.0 %"])
