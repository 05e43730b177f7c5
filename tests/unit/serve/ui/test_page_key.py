"""The page of a service that needs an API key."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from serve.api import create_api
from serve.middleware.auth import Keys
from serve.middleware.gateway import Policy
from tests.support.browser import BROWSER
from tests.support.fake_predictor import two_models
from tests.support.http_server import serving
from tests.support.served_page import card, classify, enter_key, show_everything, tweet, visiting

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome is installed"),
]
KEY = "sk-a-key-of-the-test"


@pytest.fixture
def keyed(browser: Browser) -> Iterator[Page]:
    with (
        serving(create_api(two_models(), policy=Policy(keys=Keys(KEY)))) as url,
        visiting(browser, url) as page,
    ):
        yield page


def test_page_asks_for_the_key_and_sends_it(keyed: Page) -> None:
    field = keyed.get_by_label("API key")
    expect(field).to_be_focused()
    assert (field.get_attribute("type"), field.get_attribute("autocomplete")) == ("password", "off")
    enter_key(keyed, KEY)
    expect(card(keyed, "hate")).to_be_visible()
    expect(field).to_be_hidden()
    classify(keyed, "a!")
    keyed.get_by_role("button", name="Which words? (hate)").click()
    expect(card(keyed, "hate").locator(".marked")).to_be_visible()


def test_wrong_key_is_reported_and_text_is_kept(keyed: Page) -> None:
    expect(keyed.get_by_text("This service asks for an API key.")).to_be_visible()
    tweet(keyed).fill("a!")
    keyed.get_by_role("button", name="Classify").click()
    enter_key(keyed, "wrong")
    expect(keyed.get_by_text("This key was not accepted.")).to_be_visible()
    expect(tweet(keyed)).to_have_value("a!")
    enter_key(keyed, KEY)
    expect(card(keyed, "deepfake").locator("[data-is=label]")).to_have_text("bot")


def test_key_is_kept_in_memory_only(keyed: Page) -> None:
    enter_key(keyed, KEY)
    show_everything(keyed)
    assert '-H "Authorization: Bearer $TWEETELM_API_KEY"' in card(keyed, "hate").locator("pre").inner_text()
    kept = "[location.href, document.cookie, JSON.stringify({...localStorage, ...sessionStorage})].join()"
    assert KEY not in keyed.content() + keyed.get_by_label("API key").input_value() + keyed.evaluate(kept)
    keyed.reload()
    expect(keyed.get_by_label("API key")).to_be_focused()


def test_a_key_can_be_forgotten(keyed: Page) -> None:
    enter_key(keyed, KEY)
    classify(keyed, "a!")
    keyed.get_by_role("button", name="Forget it").click()
    keyed.get_by_role("button", name="Classify").click()
    expect(keyed.get_by_text("This service asks for an API key.")).to_be_visible()


def test_invalid_key_is_not_sent(keyed: Page) -> None:
    for wrong in ("", "two words", "clé"):
        enter_key(keyed, wrong)
        assert keyed.get_by_label("API key").evaluate("field => field.validationMessage")
    expect(keyed.get_by_text("This service asks for an API key.")).to_be_visible()


def test_late_401_does_not_ask_for_the_key_again(keyed: Page) -> None:
    expect(keyed.get_by_label("API key")).to_be_focused()
    held: list[Route] = []
    keyed.route("**/info", lambda route: held.append(route), times=1)
    tweet(keyed).fill("a!")
    with keyed.expect_request("**/info"):
        keyed.get_by_role("button", name="Classify").click()
    enter_key(keyed, KEY)
    expect(card(keyed, "hate")).to_be_visible()
    held[0].continue_()  # without a key
    expect(card(keyed, "deepfake").locator("[data-is=label]")).to_have_text("bot")
    expect(keyed.get_by_label("API key")).to_be_hidden()
