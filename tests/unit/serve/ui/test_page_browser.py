"""The page in Chromium against the real application."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from serve.api import create_api
from serve.client import post
from tests.support.browser import BROWSER
from tests.support.fake_predictor import two_models
from tests.support.http_server import serving
from tests.support.served_page import card, classify, tweet, visiting
from tweetelm.tasks import DEEPFAKE, HATE, SYNTHETIC_NOTICE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome is installed"),
]
TWEET = "no!! 😀 a !!\nok"
MARKUP = "<img src=x onerror=\"document.title='it ran'\"> !"


@pytest.fixture
def url() -> Iterator[str]:
    with serving(create_api(two_models())) as url:
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with visiting(browser, url, permissions=["clipboard-read", "clipboard-write"]) as page:
        expect(card(page, "hate")).to_be_visible()
        yield page


def shown(page: Page, task: str) -> dict[str, Any]:
    """Return the prediction that a card shows, with the values of its elements."""
    shown_card = card(page, task)
    threshold = shown_card.locator("[data-is=threshold]").get_attribute("value")
    return {
        "label": shown_card.locator("[data-is=label]").inner_text(),
        "probability": float(shown_card.locator("[data-is=probability]").get_attribute("value") or "nan"),
        "threshold": float(threshold) if threshold else None,
        "version": shown_card.locator("[data-is=version]").inner_text(),
        "truncated": shown_card.get_by_text("only its beginning was read").is_visible(),
    }


def answered(url: str, task: str, text: str) -> dict[str, Any]:
    """Return the same prediction from the API."""
    found = post(f"{url}/v1/classify", {"model": task, "input": text})["data"][0]
    kept = {key: found[key] for key in ("label", "threshold", "version", "truncated")}
    return kept | {"probability": found["probs"][-1]}


@pytest.mark.parametrize("text", [TWEET, "a", "!", "a!" * 20])
def test_page_shows_the_predictions_of_the_api(page: Page, url: str, text: str) -> None:
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    tweet(page).press("Control+v")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("status")).to_contain_text("Done.")
    for task in ("hate", "deepfake"):
        assert shown(page, task) == answered(url, task, text)


NINE = [f"tweet number {n} {'!' * n}" for n in range(9)]


def test_pasted_lines_can_be_classified_separately(page: Page, url: str) -> None:
    page.evaluate("text => navigator.clipboard.writeText(text)", "\n".join(NINE) + "\n\n")
    tweet(page).press("Control+v")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("status")).to_contain_text("one tweet, or one tweet each?")
    expect(card(page, "hate").locator("[data-is=label]")).to_have_text("No verdict yet")
    page.get_by_role("button", name="One tweet a line").click()
    expect(page.get_by_role("status")).to_have_text("Done. 9 lines have a verdict each.")
    rows = page.locator("#verdicts tbody tr").all()
    data = [
        post(f"{url}/v1/classify", {"model": task, "input": NINE})["data"] for task in ("hate", "deepfake")
    ]
    for shown_card, (row, line) in enumerate(zip(rows, NINE, strict=True)):
        cells = row.locator("td").all_inner_texts()
        assert cells[0] == line.strip()
        assert [cell.split()[0] for cell in cells[1:]] == [found[shown_card]["label"] for found in data]


def test_200_pasted_lines_have_the_verdicts_of_the_api(page: Page, url: str) -> None:
    lines = [f"line {n} {'!' * (n % 9)}".strip() for n in range(200)]
    tweet(page).fill("\n".join(lines))
    page.get_by_role("button", name="Classify").click()
    page.get_by_role("button", name="One tweet a line").click()
    expect(page.get_by_role("status")).to_have_text("Done. 200 lines have a verdict each.")
    cells = page.locator("#verdicts tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    assert [row[0] for row in cells] == lines
    for column, task in ((1, "hate"), (2, "deepfake")):
        shown_labels = [row[column].split()[0] for row in cells]
        parts = [lines[at : at + 32] for at in range(0, 200, 32)]
        data = [post(f"{url}/v1/classify", {"model": task, "input": part})["data"] for part in parts]
        assert shown_labels == [found["label"] for part in data for found in part]


def test_too_many_pasted_lines_are_not_sent(page: Page) -> None:
    tweet(page).fill("\n".join(["a"] * 1001))
    page.get_by_role("button", name="Classify").click()
    page.get_by_role("button", name="One tweet a line").click()
    expect(page.get_by_role("status")).to_contain_text("expected at most 1,000 lines")


def test_lines_can_be_one_tweet(page: Page, url: str) -> None:
    tweet(page).fill("\n".join(NINE))
    page.get_by_role("button", name="Classify").click()
    page.get_by_role("button", name="One tweet", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Done.")
    assert shown(page, "hate") == answered(url, "hate", "\n".join(NINE))


def test_numbers_have_labels(page: Page) -> None:
    classify(page, "no!! abc")  # 2 of 8, at the threshold
    facts = " ".join(card(page, "hate").locator("dl").inner_text().split())
    assert facts == "Probability of hate 25.0 % Threshold 25.0 % Version v1"
    expect(card(page, "deepfake").locator("dl")).to_contain_text("most probable label")


def test_notices_are_shown_before_any_request(page: Page) -> None:
    expect(card(page, "deepfake").get_by_text(SYNTHETIC_NOTICE)).to_be_visible()
    expect(card(page, "deepfake").get_by_text("random initial weights")).to_be_visible()
    for task in (HATE, DEEPFAKE):
        expect(page.get_by_role("region", name="not for").get_by_text(task.limits)).to_be_visible()


def test_example_is_classified_on_click(page: Page) -> None:
    examples = page.get_by_role("list", name="Or try one of these").get_by_role("button")
    assert examples.count() >= 3
    for example in examples.all():
        example.click()
        expect(tweet(page)).to_have_value(example.inner_text())
        expect(page.get_by_role("status")).to_contain_text("Done.")


@pytest.mark.parametrize("keys", ["Control+Enter", "Meta+Enter"])
def test_enter_with_ctrl_or_command_classifies(page: Page, keys: str) -> None:
    tweet(page).fill("a!")
    page.keyboard.press(keys)
    expect(card(page, "deepfake").locator("[data-is=label]")).to_have_text("bot")


def test_empty_text_is_not_sent(page: Page) -> None:
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("status")).to_have_text("Paste or type a tweet first.")


def test_words_on_request_match_the_api(page: Page, url: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    classify(page, TWEET)
    assert f"{url}/v1/words" not in asked
    button = page.get_by_role("button", name="Which words? (hate)")
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    answer = post(f"{url}/v1/words", {"model": "hate", "input": TWEET})["words"]
    signs = ["+" if one["push"] > 0 else "−" for one in answer]
    assert signs == ["+", "−", "−", "+", "−"]
    assert card(page, "hate").locator(".marked").text_content() == "+no!! −😀 −a +!!\n−ok"
    for one, mark in zip(answer, card(page, "hate").locator(".marked .word").all(), strict=True):
        strength = sum(abs(one["push"]) >= bound for bound in (0.1, 0.5, 1, 2))
        assert mark.get_attribute("class") == f"word {'up' if one['push'] > 0 else 'down'} level{strength}"
    first = max(answer, key=lambda one: abs(one["push"]))
    line = f"+{first['push']:.2f} toward hate: {first['text']}"
    expect(card(page, "hate").locator("ol li").first).to_have_text(line)
    button.click()
    expect(card(page, "hate").locator(".marked")).to_be_hidden()


def test_words_belong_to_the_classified_text(page: Page) -> None:
    classify(page, "so !")
    tweet(page).fill("something else")
    expect(page.get_by_role("status")).to_contain_text("before you changed it")
    page.get_by_role("button", name="Which words? (deepfake)").click()
    expect(card(page, "deepfake").locator(".marked")).to_have_text("−so +!")


def test_page_reports_truncation(page: Page) -> None:
    classify(page, "a! " * 70)
    expect(card(page, "hate").get_by_text("The text is too long for this model")).to_be_visible()
    page.get_by_role("button", name="Which words? (hate)").click()
    expect(card(page, "hate").get_by_text("Only the first 64 of 70 words were measured.")).to_be_visible()


def test_markup_is_shown_as_text(page: Page) -> None:
    title = page.title()
    classify(page, MARKUP)
    page.get_by_role("button", name="Which words? (hate)").click()
    page.get_by_role("button", name="Copy as curl (hate)").click()
    expect(page.get_by_role("status")).to_have_text("Copied.")
    expect(card(page, "hate").locator(".marked")).to_contain_text("onerror=")
    refusal = {"error": {"message": MARKUP}}
    page.route("**/v1/classify", lambda route: route.fulfill(status=500, json=refusal))
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("status")).to_contain_text(MARKUP)
    assert page.locator("img").count() == 0
    assert page.title() == title


def test_only_the_last_submission_is_shown(page: Page) -> None:
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        held.append(route) if len(held) < 2 else route.continue_()

    page.route("**/v1/classify", hold_the_first)
    tweet(page).fill("!")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("status")).to_have_text("Classifying…")
    classify(page, "later")
    assert len(held) == 2
    for route in held:
        with page.expect_response("**/v1/classify"):
            route.continue_()
    assert shown(page, "hate")["label"] == "not-hate"
