"""Accessibility of the page: keyboard, screen reader, phone, dark mode and error messages."""

import functools
import itertools
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from serve.api import create_api
from serve.inference.engine import Engine
from serve.middleware.auth import Keys
from serve.middleware.gateway import Policy
from tests.support.browser import BROWSER, PHONE_WIDTH
from tests.support.fake_predictor import two_models
from tests.support.http_server import serving
from tests.support.served_files import choose, classify_file, csv_bytes, drop, panel
from tests.support.served_page import (
    card,
    classify,
    contrasts,
    enter_key,
    focused,
    mark_all,
    show_everything,
    tweet,
    visiting,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome is installed"),
]
KEY = "sk-a-key-of-the-test"
WORDS = "Which words? (hate)"


@pytest.fixture
def engine() -> Engine:
    return two_models()


@pytest.fixture
def url(engine: Engine) -> Iterator[str]:
    with serving(create_api(engine)) as url:
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with visiting(browser, url) as page:
        expect(card(page, "hate")).to_be_visible()
        yield page


def test_page_recovers_once_models_are_loaded(page: Page, engine: Engine) -> None:
    models, engine.models = engine.models, {}
    tweet(page).fill("a!")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("status")).to_have_text(
        "That did not work: no model is loaded yet. Try again in 5 seconds."
    )
    engine.models = models
    classify(page, "a!")


@pytest.mark.parametrize(
    ("status", "headers", "body", "message"),
    [
        (429, {"Retry-After": "1"}, '{"error": {"message": "too many"}}', "too many. Try again in 1 second."),
        (
            503,
            {"Retry-After": "30"},
            "<html>",
            "the service answered with status 503. Try again in 30 seconds.",
        ),
        (500, {}, '{"error": {"message": "failed"}}', "failed."),
        (429, {"Retry-After": "soon"}, "{}", "the service answered with status 429."),
    ],
)
def test_page_shows_error_message_and_retry_time(
    page: Page, status: int, headers: dict[str, str], body: str, message: str
) -> None:
    page.route("**/v1/classify", lambda route: route.fulfill(status=status, headers=headers, body=body))
    tweet(page).fill("a!")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("status")).to_have_text(f"That did not work: {message}")
    expect(tweet(page)).to_have_value("a!")


def test_page_shows_a_model_when_the_other_fails(page: Page) -> None:
    def refuse(route: Route) -> None:
        failing = route.request.post_data_json["model"] == "hate"
        route.fulfill(status=500, body="{}") if failing else route.continue_()

    page.route("**/v1/classify", refuse)
    tweet(page).fill("a!")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("status")).to_contain_text("status 500")
    expect(card(page, "hate").locator("[data-is=label]")).to_have_text("No verdict yet")
    expect(card(page, "deepfake").locator("[data-is=label]")).to_have_text("bot")


def test_page_reports_lost_service_and_reconnects(page: Page) -> None:
    page.route("**/v1/classify", lambda route: route.abort())
    tweet(page).fill("a!")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("status")).to_contain_text("cannot be reached")
    page.unroute("**/v1/classify")
    classify(page, "a!")


def test_keyboard_reaches_everything_with_visible_focus(page: Page) -> None:
    page.keyboard.press("Tab")
    assert focused(page)["name"] == "API"
    page.keyboard.press("Tab")
    page.keyboard.type("no!! ok")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Done.")
    focused_elements = [focused(page)]
    while focused_elements[-1]["name"] != WORDS:
        assert len(focused_elements) < 10, focused_elements
        page.keyboard.press("Tab")
        focused_elements.append(focused(page))
    page.keyboard.press("Space")
    expect(card(page, "hate").locator(".marked")).to_be_visible()
    assert len(focused_elements) == 1 + 1 + 4 + 1  # Classify, the file, the examples, and "Which words?"
    assert all(item["outline"] >= 2 for item in focused_elements)


def test_controls_headings_landmarks_are_accessible(page: Page) -> None:
    show_everything(page)
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    nodes = [node for node in tree if not node["ignored"]]
    roles = [node["role"]["value"] for node in nodes]
    controls = [node for node in nodes if node["role"]["value"] in ("button", "link", "textbox", "region")]
    assert len(controls) >= 11
    assert all(node["name"]["value"].strip() for node in controls)
    assert {"banner", "main", "navigation", "status", "article", "list"} <= set(roles)
    levels = [int(item.evaluate("e => e.tagName[1]")) for item in page.get_by_role("heading").all()]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_controls_have_enough_contrast(browser: Browser, engine: Engine, scheme: str) -> None:
    with (
        serving(create_api(engine, policy=Policy(keys=Keys(KEY)))) as url,
        visiting(browser, url, color_scheme=scheme) as page,
    ):
        enter_key(page, KEY)
        show_everything(page)
        drop(page, "tweets.csv", b"text\na!\n,\nb\n")
        classify_file(page, model="hate")
        for status in (500, 401):  # an error in the status line, then the key form
            page.route("**/v1/words", functools.partial(Route.fulfill, status=status, body="{}"))
            page.get_by_role("button", name="Which words? (deepfake)").click()
            expect(page.locator("#status.bad, #key:focus")).to_be_visible()
            for level in range(1, 5):
                mark_all(page, level)
                check_contrasts(page)


def check_contrasts(page: Page) -> None:
    """Check WCAG 2.2 AA: contrast of at least 4.5 for text (1.4.3) and 3 for control edges (1.4.11)."""
    found = contrasts(page)
    assert len(found["texts"]) > 40
    assert len(found["edges"]) >= 5
    assert [item for item in found["texts"] if item[1] < 4.5] == []
    assert [item for item in found["edges"] if item[1] < 3] == []


@pytest.mark.parametrize("text", ["no!! ok", "https:" + "x" * 300 + "! a"])
def test_phone_has_no_horizontal_scrolling(browser: Browser, url: str, text: str) -> None:
    with visiting(browser, url, viewport={"width": PHONE_WIDTH, "height": 800}) as page:
        show_everything(page)
        classify(page, text)
        page.get_by_role("button", name=WORDS).click()
        page.get_by_role("button", name="Copy as curl (hate)").click()
        expect(card(page, "hate").locator("pre")).to_be_visible()
        expect(card(page, "hate").locator(".marked")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE_WIDTH


def test_file_on_a_small_phone_has_no_scrolling(browser: Browser, url: str) -> None:
    with visiting(browser, url, viewport={"width": 375, "height": 667}) as page:
        content = csv_bytes([("id", "text"), (1, "so many words! " * 30), (2, "x" * 300), (3, "")])
        choose(page, "a-file-with-a-rather-long-name-of-tweets.csv", content)
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        classify_file(page)
        expect(page.get_by_role("button", name="Download CSV")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        width = "table => table.parentElement.scrollWidth - table.parentElement.clientWidth"
        assert panel(page).locator("table").evaluate(width) == 0


def test_file_works_by_keyboard(page: Page) -> None:
    choose(page, "tweets.csv", b"id,text\n1,a!\n2,b\n")
    expect(panel(page)).to_be_focused()
    names = []
    for _ in range(3):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.id"))
    assert names == ["file-column", "file-model", "file-start"]
    assert focused(page)["outline"] >= 2
    page.keyboard.press("Enter")
    expect(page.locator("#file-status")).to_contain_text("Done.")
    names = []
    while "file-download" not in names:
        assert len(names) < 5, names
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.id"))
        assert focused(page)["outline"] >= 2
    assert names == ["file-close", "file-label", "file-text", "file-download"]


def test_controls_of_a_file_have_names(page: Page) -> None:
    choose(page, "tweets.csv", b"id,text\n1,a!\n2,b\n")
    classify_file(page)
    for role, name in (
        ("combobox", "Column of the tweets"),
        ("combobox", "Model"),
        ("combobox", "Show"),
        ("searchbox", "Text contains"),
        ("status", "File"),
        ("region", "File tweets.csv"),
        ("region", "A verdict for each row"),
    ):
        expect(page.get_by_role(role, name=name, exact=True)).to_be_visible()  # type: ignore[arg-type]
    page.get_by_role("button", name="Close").click()
    expect(panel(page)).to_be_hidden()
    expect(page.get_by_label("Or choose a file")).to_be_focused()
