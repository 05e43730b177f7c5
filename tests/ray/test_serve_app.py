"""The service as people start it, with a small model, over real HTTP."""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from serve import client
from serve.local import HOST, free_port
from tests.fakes import card
from tweetelm import registry as versions
from tweetelm.encoding import Encoder
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.presets import preset_config
from tweetelm.openelm.tokenizer import train_tokenizer
from tweetelm.predictor import Predictor
from tweetelm.tasks import HATE
from tweetelm.text import TextConfig

pytestmark = [pytest.mark.ray, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
TEXTS = ["what a lovely morning", "they should all go back", "x", "long " * 400, "🙂 ok", "http @user"] * 4
DEPLOY = """
import json, sys, ray
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
_get_global_client().deploy_apps(ServeDeploySchema(**json.load(sys.stdin)), _blocking=True)
"""


def publish(registry: Path, folder: Path, *, seed: int) -> str:
    """A small model with random weights, as a version; a larger seed has the better metric."""
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(TEXTS, vocab_size=300)
    config = preset_config("scratch-1m")
    config.vocab_size, config.num_labels = tokenizer.get_vocab_size(), len(HATE.labels)
    OpenELMForSequenceClassification(config).save_pretrained(folder)
    Encoder(tokenizer=tokenizer, text=TextConfig(), max_tokens=64).save(folder, HATE)
    return versions.publish(folder, card(seed / 10), registry=str(registry)).version


@dataclass(frozen=True)
class Service:
    process: subprocess.Popen[str]
    url: str
    port: int
    registry: Path
    env: dict[str, str]

    def classify(self, texts: str | list[str]) -> list[dict[str, Any]]:
        data: list[dict[str, Any]] = client.post(
            f"{self.url}/v1/classify", {"model": "hate", "input": texts}
        )["data"]
        return data

    def deploy(self, versions: dict[str, str]) -> None:
        """As `serve deploy serve/config.yaml` does, without the dashboard that it talks to."""
        config = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
        config["http_options"]["port"] = self.port
        (app,) = config["applications"]
        app["args"] = {"registry": str(self.registry), "tasks": ["hate"], "max_replicas": 1}
        app["deployments"] = [{"name": "TweetClassifier", "user_config": {"versions": versions}}]
        (port,) = Path(self.env["RAY_TMPDIR"]).glob("ray/session_latest/gcs_server_port_*")
        command = [sys.executable, "-c", DEPLOY, f"{HOST}:{port.read_text()}"]
        subprocess.run(
            command, input=json.dumps(config), text=True, cwd=ROOT, env=self.env, check=True, timeout=120
        )


@pytest.fixture(scope="module")
def env() -> Iterator[dict[str, str]]:
    """A home, a folder for Ray and a token of our own. The path is short, for Ray's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="tw") as folder:
        own = {
            "HOME": folder,
            "RAY_TMPDIR": folder,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": os.urandom(32).hex(),
        }
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        yield (
            inherited
            | own
            | {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
        )


@pytest.fixture(scope="module")
def service(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    registry = tmp_path_factory.mktemp("registry")
    for seed in (1, 2):
        publish(registry, tmp_path_factory.mktemp("checkpoint"), seed=seed)
    port = free_port(None, first=18300)
    command = [
        sys.executable,
        "-m",
        "serve",
        "--registry",
        str(registry),
        "--port",
        str(port),
        "--stay",
        "--ask",
        TEXTS[0],
    ]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        url = f"http://{HOST}:{port}"
        try:
            client.wait_until_ready(url, within_s=120)
            yield Service(process, url, port, registry, env)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


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
