"""The service as people start it, with a small model, over real HTTP."""

import http.client
import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from serve import client
from serve.local import HOST
from tests.ray.service import TEXTS, Service, private_ray, publish, serving
from tweetelm import registry as versions
from tweetelm.predictor import Predictor

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    registry = tmp_path_factory.mktemp("registry")
    for seed in (1, 2):
        publish(registry, tmp_path_factory.mktemp("checkpoint"), seed=seed)
    with private_ray() as env, serving(registry, env, "--ask", TEXTS[0]) as service:
        yield service


def test_served_probabilities_are_those_of_the_predictor(service: Service) -> None:
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


def test_texts_of_many_callers_at_once_get_the_answers_they_get_alone(service: Service) -> None:
    alone = {text: service.classify(text)[0]["probs"] for text in set(TEXTS)}
    with ThreadPoolExecutor(16) as callers:
        together = list(callers.map(lambda text: service.classify(text)[0]["probs"], TEXTS * 4))
    for text, probs in zip(TEXTS * 4, together, strict=True):
        assert probs == pytest.approx(alone[text], abs=1e-5)


def test_an_answer_has_one_request_id_and_an_error_its_shape(service: Service) -> None:
    connection = http.client.HTTPConnection(HOST, service.port, timeout=30)
    connection.request(
        "POST", "/v1/classify", b"{", {"Content-Type": "application/json", "X-Request-Id": "mine"}
    )
    response = connection.getresponse()
    assert response.status == 400
    assert response.headers.get_all("x-request-id") == ["mine"]
    assert json.load(response)["error"]["code"] == "invalid_json"
    connection.close()


def test_the_page_is_served(service: Service) -> None:
    connection = http.client.HTTPConnection(HOST, service.port, timeout=30)
    connection.request("GET", "/")
    response = connection.getresponse()
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert b'src="page.js"' in response.read()
    connection.close()


def test_a_swap_keeps_the_last_good_model_when_the_new_one_cannot_be_loaded(service: Service) -> None:
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


def test_ctrl_c_ends_it_cleanly(service: Service) -> None:
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(timeout=60) == 0
    assert service.process.stdout is not None
    printed = service.process.stdout.read()
    assert f"“{TEXTS[0]}”\n  hate " in printed
    assert f"Page: {service.url}/" in printed
    assert printed.endswith("Stopped.\n")
