"""CORS in Chromium: pages of allowed origins can send requests; other pages cannot."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from serve.api import create_api
from serve.limits import Limits
from serve.middleware.auth import Keys
from serve.middleware.gateway import Policy
from serve.middleware.load_shedding import LoadShedding
from serve.settings import Settings
from tests.support.browser import BROWSER
from tests.support.fake_predictor import two_models
from tests.support.http_server import serving

KEY = "a-key-of-some-length"
ORIGIN = "https://example.org"
ASK = """async ([url, key, body]) => {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${key}` };
  const sent = { method: "POST", headers, body: JSON.stringify(body) };
  const response = await fetch(url, sent).catch(() => null);
  return response && [response.status, await response.json(), response.headers.get("X-Request-Id")];
}"""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """Serve a page from another origin: another port of this machine."""
    page = HTMLResponse("<!doctype html><title>elsewhere</title>")
    with serving(Starlette(routes=[Route("/", lambda request: page)])) as url:
        yield url


@pytest.fixture
def page(browser: Browser, elsewhere: str) -> Iterator[Page]:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(elsewhere)
        yield page


def ask(page: Page, url: str, *, key: str = KEY, path: str = "/v1/classify") -> Any:
    return page.evaluate(ASK, [url + path, key, {"input": "a!", "inputs": "a!"}])


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome is installed")
def test_browser_can_classify_from_allowed_origin(page: Page, elsewhere: str) -> None:
    policy = Policy(cors_origins=(elsewhere,), keys=Keys(KEY), limits=Limits(texts_per_minute=2))
    with serving(create_api(two_models(), policy=policy)) as url:
        status, answer, name = ask(page, url)
        assert (status, answer["data"][0]["label"], bool(name)) == (200, "hate", True)
        assert ask(page, url, path="/predict")[0] == 200
        assert ask(page, url, key="a-wrong-key-of-some-length")[0] == 401, (
            "the page can read error responses too"
        )
        assert [ask(page, url)[0] for _ in range(2)][-1] == 429


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome is installed")
def test_browser_cannot_classify_from_other_origin(page: Page) -> None:
    for origins in ((), (ORIGIN,)):
        with serving(create_api(two_models(), policy=Policy(cors_origins=origins))) as url:
            assert ask(page, url) is None


def test_preflight_passes_for_allowed_origins_only() -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with TestClient(
        create_api(two_models(), policy=Policy(cors_origins=(ORIGIN,), keys=Keys(KEY)))
    ) as client:
        for path in ("/v1/classify", "/v1/classify/file", "/v1/moderations", "/predict", "/models/hate", "/"):
            allowed = client.options(path, headers=asked | {"Origin": ORIGIN})
            assert allowed.status_code == 200
            assert "POST" in allowed.headers["access-control-allow-methods"]
            assert allowed.headers["access-control-allow-origin"] == ORIGIN
            assert client.options(path, headers=asked | {"Origin": "https://example.com"}).status_code == 400


def test_early_rejections_have_cors_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    api = create_api(two_models(), policy=Policy(cors_origins=(ORIGIN,), limits=Limits(concurrent=0)))
    monkeypatch.setattr(LoadShedding, "gateway", api.state.gateway)
    for app in (api, LoadShedding(api)):
        with TestClient(app) as client:
            refused = client.post("/v1/classify", json={"input": "a"}, headers={"Origin": ORIGIN})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (429, ORIGIN)


@pytest.mark.parametrize("origin", ["example.org", "https://example.org/", "https://example.org/page", ""])
def test_invalid_origin_error_shows_an_example(origin: str) -> None:
    with pytest.raises(ValueError, match="is not an origin; expected a scheme and a host"):
        Settings(cors_origins=(origin,))
