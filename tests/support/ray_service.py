"""The service, started by its command with its own Ray, home and port."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from serve import client
from serve.local_server import HOST, free_ports
from tests.support.fakes import card
from tests.support.places import ROOT
from tests.support.ray_head import wait_for
from tests.unit.serve.observability.test_metrics import sample
from tweetelm import registry as versions
from tweetelm.config.text_config import TextConfig
from tweetelm.encoding import Encoder
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.checkpoints.tokenizer import train_tokenizer
from tweetelm.openelm.presets import preset_config
from tweetelm.tasks import TASKS

TEXTS = ["what a lovely morning", "they should all go back", "x", "long " * 400, "🙂 ok", "http @user"] * 4
DEPLOY = """
import json, sys, ray
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
_get_global_client().deploy_apps(ServeDeploySchema(**json.load(sys.stdin)), _blocking=True)
"""


def publish(registry: Path, folder: Path, *, seed: int, task: str = "hate") -> str:
    """Publish a small random model; a larger seed has a better metric."""
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(TEXTS, vocab_size=300)
    config = preset_config("scratch-1m")
    config.vocab_size, config.num_labels = tokenizer.get_vocab_size(), len(TASKS[task].labels)
    OpenELMForSequenceClassification(config).save_pretrained(folder)
    Encoder(tokenizer=tokenizer, text=TextConfig(), max_tokens=64).save(folder, TASKS[task])
    made = card(seed / 10, task=task, labels=list(TASKS[task].labels), metric=TASKS[task].metric)
    made.metrics["validation"][TASKS[task].metric] = seed / 10
    return versions.publish(folder, made, registry=str(registry)).version


@dataclass(frozen=True)
class Service:
    process: subprocess.Popen[str]
    url: str
    port: int
    registry: Path
    env: dict[str, str]
    key: str = ""

    def info(self) -> dict[str, Any]:
        return client.get(f"{self.url}/info", key=self.key)

    def classify(self, texts: str | list[str]) -> list[dict[str, Any]]:
        body = {"model": "hate", "input": texts}
        data: list[dict[str, Any]] = client.post(f"{self.url}/v1/classify", body, key=self.key)["data"]
        return data

    def metric(self, name: str, **labels: str) -> float:
        """Return a sample of `GET /metrics`."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        request = urllib.request.Request(f"{self.url}/metrics", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            return sample(response.read().decode(), name, **labels)

    def disconnect(self, clients: int) -> float:
        """Send 32 long texts from each client and disconnect; returns the number of 499s in the metrics.

        All texts differ, since equal texts of a batch are classified once.
        """
        bodies = [_long_texts(number) for number in range(clients)]
        lines = [f"Content-Length: {len(bodies[0])}", f"Authorization: Bearer {self.key or 'none'}"]
        head = "\r\n".join(
            ["POST /v1/classify HTTP/1.1", "Host: x", "Content-Type: application/json", *lines]
        )
        with contextlib.ExitStack() as stack:
            for body in bodies:
                connection = stack.enter_context(socket.create_connection((HOST, self.port), timeout=30))
                connection.sendall(head.encode() + b"\r\n\r\n" + body)
            before = time.monotonic()
            while self.metric("tweetelm_in_flight") < 0.7 * clients and time.monotonic() < before + 5:
                time.sleep(0.01)
        wait_for("no request is in flight", lambda: not self.metric("tweetelm_in_flight"), seconds=60)
        return self.metric("tweetelm_requests_total", route="/v1/classify", status="499")

    def address(self) -> str:
        """Address of the service's Ray cluster."""
        (port,) = Path(self.env["RAY_TMPDIR"]).glob("ray/session_latest/gcs_server_port_*")
        return f"{HOST}:{port.read_text()}"

    def deploy(self, versions: dict[str, str]) -> None:
        """Deploy like `serve deploy serve/config.yaml`, without the dashboard."""
        config = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
        config["http_options"]["port"] = self.port
        (app,) = config["applications"]
        app["args"] = {"registry": str(self.registry), "tasks": ["hate"], "max_replicas": 1}
        app["deployments"] = [{"name": "TweetClassifier", "user_config": {"versions": versions}}]
        command = [sys.executable, "-c", DEPLOY, self.address()]
        subprocess.run(
            command, input=json.dumps(config), text=True, cwd=ROOT, env=self.env, check=True, timeout=120
        )


def _long_texts(client: int) -> bytes:
    texts = [f"{client:03} {number:03} " + "word " * 60 for number in range(32)]
    return json.dumps({"model": "hate", "input": texts}).encode()


@contextmanager
def private_ray() -> Iterator[dict[str, str]]:
    """An environment with its own home, Ray folder and token; the path is short because of Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="tw") as folder:
        own = {
            "HOME": folder,
            "RAY_TMPDIR": folder,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": os.urandom(32).hex(),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
        }
        yield {key: value for key, value in os.environ.items() if not key.startswith("RAY_")} | own


@contextmanager
def serving(registry: Path, env: dict[str, str], *arguments: str, key: str = "") -> Iterator[Service]:
    """Run `python -m serve` on the registry until the block ends."""
    port = free_ports(1)[0]  # avoids the first free port, which another test could take before it is bound
    command = [
        sys.executable,
        "-m",
        "serve",
        "--registry",
        str(registry),
        "--port",
        str(port),
        "--stay",
        *arguments,
    ]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        url = f"http://{HOST}:{port}"
        try:
            client.wait_until_ready(url, within_s=120)
            yield Service(process, url, port, registry, env, key)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
