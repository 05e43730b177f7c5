"""`serve deploy serve/config.yaml` as in the documentation, on a head with token authentication."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve import client
from serve.local_server import HOST, free_ports
from tests.support.ray_head import Cluster, command, wait_for
from tests.support.ray_service import ROOT, publish

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def serve(cluster: Cluster, *line: str) -> str:
    """Return the output of a `serve` command, with standard error in standard output."""
    done = subprocess.run(
        [command("serve"), *line],
        cwd=ROOT,
        env=cluster.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def url(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    registry = tmp_path_factory.mktemp("registry")
    for task in ("hate", "deepfake"):
        publish(registry, tmp_path_factory.mktemp("checkpoint"), seed=1, task=task)
    config: dict[str, Any] = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
    port = free_ports(1)[0]
    config["http_options"]["port"] = port
    (app,) = config["applications"]
    app["args"] |= {"registry": str(registry), "max_replicas": 1}
    app["runtime_env"] = {"env_vars": {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}}
    file = Path(registry) / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    serve(cluster, "deploy", "--address", cluster.dashboard, str(file))
    url = f"http://{HOST}:{port}"
    wait_for("the application runs", lambda: "RUNNING" in status(cluster))
    yield url
    serve(cluster, "shutdown", "--address", cluster.dashboard, "--yes")


def status(cluster: Cluster) -> str:
    found = serve(cluster, "status", "--address", cluster.dashboard)
    assert "DEPLOY_FAILED" not in found, found
    return found


def test_replica_without_keys_of_the_command_fails(cluster: Cluster, tmp_path: Path) -> None:
    """Runs first: a cluster serves one tweetelm application at a time."""
    publish(tmp_path / "models", tmp_path / "checkpoint", seed=1)
    here = {"RAY_ADDRESS": cluster.address, "TWEETELM_API_KEYS": "alice:0123456789abcdefghij"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "serve",
            "--registry",
            str(tmp_path / "models"),
            "--port",
            str(free_ports(1)[0]),
        ],
        cwd=ROOT,
        env=cluster.env | here | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert "this node has none, so the replica does not start" in done.stderr
    assert "Traceback" not in done.stderr


def test_both_tasks_answer_from_one_replica(url: str) -> None:
    ready = client.wait_until_ready(url, within_s=60)
    assert set(ready["models"]) == {"hate", "deepfake"}
    for task, label in (("hate", {"hate", "not-hate"}), ("deepfake", {"bot", "human"})):
        answer = client.post(f"{url}/v1/classify", {"model": task, "input": "a lovely morning"})
        assert answer["data"][0]["label"] in label
    moderation = client.post(f"{url}/v1/moderations", {"model": "tweetelm-all", "input": "a lovely morning"})
    assert "x-machine-generated" in moderation["results"][0]["categories"]
