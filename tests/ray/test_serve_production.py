"""The service in its production setup: behind HAProxy, with API keys, polling the registry."""

import http.server
import json
import os
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from serve import client
from serve.local_server import HOST
from tests.support.ray_service import Service, private_ray, publish, serving
from tweetelm import registry as versions

pytestmark = [pytest.mark.ray, pytest.mark.slow]
METRICS_PORT = """
import sys, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
print(ray.nodes()[0]["MetricsExportPort"])
"""
KEY, NEW = "the-key-of-the-first-day", "the-key-of-the-second-day"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"partner:{KEY}\n")
    return file


class Collector(http.server.BaseHTTPRequestHandler):
    """Receives and stores traces like an OpenTelemetry collector."""

    received: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        return


@pytest.fixture(scope="module")
def collector() -> Iterator[str]:
    with http.server.ThreadingHTTPServer((HOST, 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def service(keys: Path, collector: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    registry = tmp_path_factory.mktemp("registry")
    for seed in (1, 2):
        publish(registry, tmp_path_factory.mktemp("checkpoint"), seed=seed)
    more = {
        "TWEETELM_API_KEYS_FILE": str(keys),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "RAY_SERVE_TRACING_SAMPLING_RATIO": "1",
    }
    with (
        private_ray() as env,
        serving(registry, env | more, "--haproxy", key=KEY) as service,
    ):
        yield service


def until(found: Callable[[], Any], within_s: float = 60) -> Any:
    """Poll `found` until its result is truthy, and return it."""
    deadline = time.monotonic() + within_s
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
    return value


def log_files(service: Service, pattern: str) -> list[str]:
    """Return the content of the service's log files with this name."""
    folder = Path(service.env["RAY_TMPDIR"]) / "ray" / "session_latest" / "logs" / "serve"
    return [path.read_text() for path in folder.glob(pattern)]


def log_lines(service: Service) -> list[dict[str, Any]]:
    """Return the replica's access log, parsed."""
    return [json.loads(line) for text in log_files(service, "requests_*.log") for line in text.splitlines()]


def test_keys_are_required_and_never_logged(
    service: Service,
) -> None:
    with pytest.raises(client.RefusedError, match="API key"):
        client.get(f"{service.url}/info")
    body = json.dumps({"input": "xyzzy secret words"}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    request = urllib.request.Request(f"{service.url}/v1/classify", body, headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        identity = response.headers.get_all("X-Request-Id")
    assert len(identity) == 1
    line = until(lambda: [one for one in log_lines(service) if one.get("request_id") == identity[0]])[-1]
    assert (line["status"], line["key"], line["texts"], line["model"]) == (200, "partner", 1, "hate")
    assert line["ms"] > 0
    assert line["replica"]
    written = "".join(log_files(service, "*.log"))
    assert identity[0] in written
    assert KEY not in written
    assert "xyzzy" not in written


def test_rollback_is_served_within_seconds(
    service: Service,
) -> None:
    registry = str(service.registry)
    new = versions.current_version("hate", registry=registry)
    old = versions.previous_version("hate", registry=registry)
    assert service.classify("x")[0]["version"] == new
    versions.rollback("hate", registry=registry)
    until(lambda: service.classify("x")[0]["version"] == old, within_s=30)


def test_damaged_version_keeps_the_last_good_one(service: Service) -> None:
    serving_now = service.classify("x")[0]["version"]
    (other,) = (
        one.version
        for one in versions.list_versions("hate", registry=str(service.registry))
        if one.version != serving_now
    )
    weights = service.registry / "hate" / "versions" / other / "model.safetensors"
    whole = weights.read_bytes()
    weights.chmod(0o644)
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    versions.promote("hate", other, registry=str(service.registry))
    error = until(lambda: service.info()["reload_error"], within_s=30)
    assert error.startswith("ValueError")
    assert service.classify("x")[0]["version"] == serving_now
    weights.write_bytes(whole)
    versions.promote("hate", serving_now, registry=str(service.registry))
    until(lambda: service.info()["reload_error"] is None, within_s=30)


def test_ray_metrics_include_every_replica(service: Service) -> None:
    service.classify("x")
    command = [sys.executable, "-c", METRICS_PORT, service.address()]
    port = subprocess.run(
        command, env=service.env, capture_output=True, text=True, check=True, timeout=60
    ).stdout

    def told() -> str:
        with urllib.request.urlopen(f"http://{HOST}:{int(port)}/metrics", timeout=10) as response:
            text: str = response.read().decode()
        return text if "ray_tweetelm_texts_total{" in text else ""

    assert 'model="hate"' in until(told)


def test_haproxy_is_on_loopback_with_private_socket(service: Service) -> None:
    (haproxy,) = (
        process
        for process in psutil.Process(service.process.pid).children(recursive=True)
        if process.name() == "haproxy"
    )
    addresses = {one.laddr.ip for one in haproxy.net_connections("inet") if one.status == psutil.CONN_LISTEN}
    assert addresses == {HOST}
    config = Path(haproxy.cmdline()[haproxy.cmdline().index("-f") + 1])
    assert stat.S_IMODE((config.parent / "admin.sock").stat().st_mode) == 0o600


def test_client_disconnects_are_logged(service: Service) -> None:
    assert service.disconnect(30) >= 15
    assert service.metric("tweetelm_waiting_tokens") == 0
    assert service.classify("x")


def test_traces_reach_the_configured_collector(service: Service) -> None:
    service.classify("x")
    until(lambda: any(b"/v1/classify" in received for received in Collector.received))


def test_keys_change_without_restart(service: Service, keys: Path) -> None:
    keys.write_text(f"partner:{NEW}\n")
    os.utime(keys, ns=(time.time_ns(), time.time_ns() + 10**9))

    def accepted(key: str) -> bool:
        try:
            return bool(client.get(f"{service.url}/info", key=key))
        except client.RefusedError:
            return False

    until(lambda: accepted(NEW) and not accepted(KEY), within_s=30)
