import shlex
from collections.abc import Iterator

import pytest

from serve import client
from serve.api import create_api
from serve.inference.engine import Engine
from tests.support.fake_predictor import FakePredictor, card
from tests.support.http_server import serving


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    hate = FakePredictor("hate", version="v1", card=card("hate", init="pretrained", synthetic=True))
    with serving(create_api(Engine({"hate": hate}))) as url:
        yield url


def test_client_prints_a_line_per_model(url: str) -> None:
    assert client.wait_until_ready(url, within_s=60)["status"] == "ready"
    models = client.get(f"{url}/info")["models"]
    assert client.verdicts(url, models, "a!!!") == ["“a!!!”", "  hate      hate      0.750  v1"]
    assert client.verdicts(url, models, "abcd")[1] == "  hate      not-hate  1.000  v1"
    assert client.notices(models) == ["Note: hate: synthetic sample: says nothing about tweets"]


def test_client_error_has_the_service_message(url: str) -> None:
    models = client.get(f"{url}/info")["models"]
    assert "empty" in client.verdicts(url, models, " ")[1]
    with pytest.raises(client.RefusedError, match="this path does not exist"):
        client.get(f"{url}/nowhere")


def test_wait_timeout_names_url_and_time() -> None:
    with pytest.raises(TimeoutError, match=r"127\.0\.0\.1:9/ready is not ready after 0 s"):
        client.wait_until_ready("http://127.0.0.1:9", within_s=0)


def test_curl_command_is_quoted_for_the_shell(url: str) -> None:
    words = shlex.split(client.curl(url, "hate"))
    assert words[:2] == ["curl", "-s"]
    assert client.post(words[2], {"model": "hate", "input": "a"})["model"] == "hate"
    assert words[-1] == '{"model": "hate", "input": "what a lovely morning"}'
