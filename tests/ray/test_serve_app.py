"""`python -m serve` with a small model, over HTTP."""

import http.client
import json
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from datasets import DatasetDict
from playwright.sync_api import expect

from serve import client
from serve.local_server import HOST
from tests.support.browser import BROWSER
from tests.support.ray_head import wait_for
from tests.support.ray_service import ROOT, TEXTS, Service, private_ray, publish, serving
from tests.support.served_page import card, chromium, classify, visiting
from tests.support.tweets import portions, thousand_tweets
from tweetelm import registry as versions
from tweetelm.evaluation.evaluate import evaluate
from tweetelm.predictor import Predictor

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    registry = tmp_path_factory.mktemp("registry")
    for seed in (1, 2):
        publish(registry, tmp_path_factory.mktemp("checkpoint"), seed=seed)
    with private_ray() as env, serving(registry, env, "--ask", TEXTS[0]) as service:
        yield service


def test_served_probabilities_match_the_predictor(service: Service) -> None:
    local = Predictor.load(
        versions.resolve("hate", registry=str(service.registry)), device="cpu", precision="float32"
    )
    served = service.classify(TEXTS)
    for one, expected in zip(served, local.predict(TEXTS), strict=True):
        assert one["probs"] == pytest.approx(expected.probabilities, abs=1e-5)
        assert (one["label"], one["truncated"], one["version"]) == (
            expected.label,
            expected.truncated,
            local.version,
        )


def test_client_disconnects_are_logged(service: Service) -> None:
    assert service.disconnect(30) >= 15
    # a health check may be in the queue at the moment of a scrape
    wait_for("no token waits", lambda: not service.metric("tweetelm_waiting_tokens"), seconds=30)
    assert service.classify("x")


def test_batched_answers_equal_single_answers(service: Service) -> None:
    alone = {text: service.classify(text)[0]["probs"] for text in set(TEXTS)}
    with ThreadPoolExecutor(16) as callers:
        together = list(callers.map(lambda text: service.classify(text)[0]["probs"], TEXTS * 4))
    for text, probs in zip(TEXTS * 4, together, strict=True):
        assert probs == pytest.approx(alone[text], abs=1e-5)


def test_response_has_one_request_id(service: Service) -> None:
    connection = http.client.HTTPConnection(HOST, service.port, timeout=30)
    connection.request(
        "POST", "/v1/classify", b"{", {"Content-Type": "application/json", "X-Request-Id": "mine"}
    )
    response = connection.getresponse()
    assert response.status == 400
    assert response.headers.get_all("x-request-id") == ["mine"]
    assert json.load(response)["error"]["code"] == "invalid_json"
    connection.close()


def commands() -> list[str]:
    """Return the curl commands of the README and of the page on serving."""
    pages = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/serve.md")]
    lines = [line for page in pages for line in page.splitlines()]
    return [line for line in lines if line.startswith(("curl ", "printf ")) and "curl -s" in line]


@pytest.mark.parametrize("command", commands())
def test_curl_commands_of_the_docs_work(service: Service, command: str) -> None:
    asked = command.replace("127.0.0.1:8000", f"{HOST}:{service.port}")
    asked = asked.replace("curl -s", "curl -sS --noproxy '*' --fail-with-body")
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in done.stdout.splitlines():
        assert json.loads(line)


def test_docs_show_every_classification_route() -> None:
    shown = " ".join(commands())
    for path in ("v1/classify ", "v1/moderations", "models/hate", "predict", "v1/words", "v1/classify/file"):
        assert path in shown


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome is installed")
def test_page_matches_the_endpoint(service: Service) -> None:
    (answer,) = service.classify("what a lovely morning")
    with chromium() as browser, visiting(browser, service.url) as page:
        classify(page, "what a lovely morning")
        shown = card(page, "hate")
        expect(shown.locator("[data-is=label]")).to_have_text(answer["label"])
        expect(shown.locator("[data-is=version]")).to_have_text(answer["version"])


def test_1000_tweets_match_predictor_and_evaluation(service: Service) -> None:
    tweets = thousand_tweets()
    texts = list(tweets["text"])
    local = Predictor.load(
        versions.resolve("hate", registry=str(service.registry)), device="cpu", precision="float32"
    )
    evaluated = evaluate(local, DatasetDict({"test": tweets}), ("test",)).splits["test"].probabilities
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(service.classify, portions(texts)))
    served = [one["probs"] for answer in answers for one in answer]
    assert len(served) == len(texts)
    assert served == pytest.approx(evaluated, abs=1e-5)
    predicted = np.asarray([one.probabilities for one in local.predict(texts)])
    assert served == pytest.approx(predicted, abs=1e-5)


def test_the_page_is_served(service: Service) -> None:
    connection = http.client.HTTPConnection(HOST, service.port, timeout=30)
    connection.request("GET", "/")
    response = connection.getresponse()
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert b'src="ui/page.js"' in response.read()
    connection.close()


def test_failed_swap_keeps_the_last_good_model(service: Service) -> None:
    new, old = (one.version for one in versions.list_versions("hate", registry=str(service.registry)))
    service.deploy({"hate": old})
    client.wait_until_ready(service.url, within_s=60)
    assert service.classify("x")[0]["version"] == old
    service.deploy({"hate": "20200101-000000"})
    assert client.get(f"{service.url}/info")["reload_error"].startswith("FileNotFoundError")
    assert service.classify("x")[0]["version"] == old
    service.deploy({"hate": new})
    assert client.get(f"{service.url}/info")["reload_error"] is None
    assert service.classify("x")[0]["version"] == new


def test_ctrl_c_stops_the_service_cleanly(service: Service) -> None:
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(timeout=60) == 0
    assert service.process.stdout is not None
    printed = service.process.stdout.read()
    assert f"“{TEXTS[0]}”\n  hate " in printed
    assert f"Page: {service.url}/" in printed
    assert printed.endswith("Stopped.\n")
