import asyncio
import logging
import pydoc
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from serve.api import create_api
from serve.inference.engine import Engine
from serve.limits import Limits
from serve.local_server import production
from serve.middleware.auth import Keys
from serve.middleware.gateway import Policy
from serve.middleware.load_shedding import LoadShedding
from tests.support.fake_predictor import POISON, classify, two_models
from tests.support.http_server import serving
from tests.unit.serve.observability.test_metrics import sample

SECRET = "xyzzy"


@pytest.fixture
def engine() -> Engine:
    return two_models()


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_api(engine)) as client:
        yield client


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.name == "tweetelm.serve"]


def test_request_is_one_log_line_without_text(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        response = client.post("/v1/classify", json={"input": [f"{SECRET}!", "a" * 30], "model": "hate"})
    (line,) = logged(caplog)
    known = {
        name: line[name] for name in ("method", "path", "status", "model", "model_version", "texts", "tokens")
    }
    assert known == {
        "method": "POST",
        "path": "/v1/classify",
        "status": 200,
        "model": "hate",
        "model_version": "v1",
        "texts": 2,
        "tokens": 26,
    }
    assert line["request_id"] == response.headers["x-request-id"]
    assert (line["truncated"], line["labels"]) == (1, {"not-hate": 2})
    assert line["ms"] >= 0
    assert SECRET not in str(line)


def test_log_texts_writes_texts_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with (
        TestClient(create_api(two_models(), policy=Policy(log_texts=True))) as client,
        caplog.at_level(logging.INFO),
    ):
        classify(client, input=SECRET)
    assert logged(caplog)[0]["input"] == [SECRET]


def test_rejection_is_logged_without_the_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = "a-key-of-some-length"
    policy = Policy(keys=Keys(f"partner:{key}"))
    with TestClient(create_api(two_models(), policy=policy)) as client, caplog.at_level(logging.INFO):
        client.post("/v1/classify", json={"input": ""}, headers={"Authorization": f"Bearer {key}"})
        client.post("/v1/classify", json={"input": "a"}, headers={"Authorization": f"Bearer not-{key}"})
        client.get(f"/{SECRET}?{key}")
    first, second, third = logged(caplog)
    assert (first["status"], first["code"], first["key"]) == (400, "empty_input", "partner")
    assert (second["status"], second["code"], "key" in second) == (401, "invalid_api_key", False)
    assert third["path"] == "other"
    assert key not in str(logged(caplog))
    assert SECRET not in str(logged(caplog))


def test_probes_are_logged_only_if_they_fail(
    client: TestClient, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for path in ("/health", "/ready", "/metrics"):
            assert client.get(path).status_code == 200
        assert not logged(caplog)
        engine.models = {}
        client.get("/ready")
    assert logged(caplog)[-1]["code"] == "unhealthy"


def test_responses_have_security_headers(client: TestClient) -> None:
    for response in (
        client.get("/health"),
        client.get("/nothing"),
        client.post("/v1/classify", json={"input": "a"}),
    ):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "access-control-allow-origin" not in response.headers


def test_cors_allows_only_named_origins() -> None:
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    with TestClient(create_api(two_models())) as client:
        assert "access-control-allow-origin" not in client.options("/v1/classify", headers=asked).headers
    policy = Policy(cors_origins=("https://example.org",), keys=Keys("a-key-of-some-length"))
    with TestClient(create_api(two_models(), policy=policy)) as client:
        allowed = client.options("/v1/classify", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://example.org"
        other = client.options("/v1/classify", headers=asked | {"Origin": "https://example.com"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("path", "shape"), [("/v1/classify", dict), ("/predict", str), ("/models/hate", str)]
)
def test_overload_uses_each_routes_error_format(
    client: TestClient, engine: Engine, path: str, shape: type
) -> None:
    engine.batcher.backlog.measured(2048, 1.0)
    engine.batcher.backlog.tokens = 25_600  # twelve and a half seconds
    refused = client.post(path, json={"input": "a", "inputs": "a"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "13")
    assert isinstance(refused.json()["error"], shape)
    assert client.get("/health").status_code == 200
    engine.batcher.backlog.tokens = 0
    assert client.post(path, json={"input": "a", "inputs": "a"}).status_code == 200


def test_requests_above_the_limit_are_rejected(engine: Engine) -> None:
    fake: Any = engine.models["hate"]
    fake.hold = threading.Event()
    with serving(create_api(engine, policy=Policy(limits=Limits(concurrent=2)))) as url:
        statuses: list[int] = []
        threads = [threading.Thread(target=lambda: statuses.append(_post(url))) for _ in range(2)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 20
        while _in_flight(url) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert _post(url) == 429
        fake.hold.set()
        for thread in threads:
            thread.join()
    assert statuses == [200, 200]


def test_overload_is_rejected_before_other_middleware(
    engine: Engine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = create_api(engine)
    monkeypatch.setattr(LoadShedding, "gateway", api.state.gateway)
    seen: list[str] = []

    async def ray_middleware(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        await api(scope, receive, send)

    (front,) = pydoc.locate(production()["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"].replace(":", "."))()
    with serving(front.cls(ray_middleware)) as url, caplog.at_level(logging.INFO):
        assert _post(url) == 200
        engine.batcher.backlog.measured(2048, 1.0)
        engine.batcher.backlog.tokens = 25_600
        status, answer = _answer(url, b'{"input": "a"}')
        assert sample(_get(url, "/metrics"), "tweetelm_requests_total", route="other", status="429") == 1
    assert seen == ["/v1/classify", "/metrics"]
    assert (status, "retry-after: 13" in answer, '"code":"overloaded"' in answer) == (429, True, True)
    line = logged(caplog)[-1]
    assert line["status"] == 429
    assert f"x-request-id: {line['request_id']}" in answer.lower()


def test_probes_are_answered_before_other_middleware(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    api = create_api(engine)
    monkeypatch.setattr(LoadShedding, "gateway", api.state.gateway)
    monkeypatch.setattr(LoadShedding, "api", api)

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError(scope["path"])

    with serving(LoadShedding(never)) as url:
        assert '"ok"' in _get(url, "/health")
        assert '"hate":"v1"' in _get(url, "/ready")


def test_probes_are_cached_for_a_second() -> None:
    seen: list[str] = []
    api = create_api(two_models())

    async def ray_application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        await api(scope, receive, send)

    with serving(LoadShedding(ray_application)) as url, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: _get(url, "/ready"), range(200)))
        assert all('"status":"ready"' in answer for answer in answers)
        assert len(seen) <= 10, "200 requests take less than ten seconds"
        assert "tweetelm_requests_total" in _get(url, "/metrics")


def test_load_shedding_counts_requests_before_the_gateway(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = create_api(engine, policy=Policy(limits=Limits(concurrent=2)))
    monkeypatch.setattr(LoadShedding, "gateway", api.state.gateway)
    door, statuses = asyncio.Event(), list[int]()

    async def slow_application(scope: Scope, receive: Receive, send: Send) -> None:
        await door.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    front = LoadShedding(slow_application)
    scope = {"type": "http", "method": "POST", "path": "/v1/classify", "headers": []}

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(front(dict(scope), receive, send))
            await asyncio.sleep(0)
            group.create_task(front(scope | {"method": "GET"}, receive, send))
            await asyncio.sleep(0)
            assert statuses == [429]
            door.set()
        assert statuses == [429, 200, 200, 200]
        await front(dict(scope), receive, send)
        assert statuses[-1] == 200

    asyncio.run(run())


def _post(url: str) -> int:
    return _answer(url, b'{"input": "a"}')[0]


def _in_flight(url: str) -> float:
    return sample(_get(url, "/metrics"), "tweetelm_in_flight")


def _connection(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port or 80), timeout=20)


def _get(url: str, path: str) -> str:
    with _connection(url) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode().split("\r\n\r\n", 1)[1]


def _answer(url: str, body: bytes, length: int | None = None) -> tuple[int, str]:
    head = f"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length or len(body)}\r\n\r\n"  # noqa: E501
    with _connection(url) as connection:
        connection.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return int(answer.split()[1]), answer


def test_unfinished_body_times_out() -> None:
    with serving(create_api(two_models(), policy=Policy(limits=Limits(body_s=0.2)))) as url:
        status, answer = _answer(url, b'{"input"', length=100)
    assert status == 408
    assert '"body_too_slow"' in answer


def test_disconnect_is_logged_and_frees_its_slot(engine: Engine) -> None:
    with serving(create_api(engine)) as url:
        with _connection(url) as connection:
            connection.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        deadline = time.monotonic() + 20
        while not sample(_get(url, "/metrics"), "tweetelm_requests_total", route="/v1/classify"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert _in_flight(url) == 0


@pytest.mark.parametrize(
    "body",
    [b"[" * 1_000_000, b'{"input":' * 200_000, b'{"input": "' + b"\\u0000" * 300_000 + b'"}'],
    ids=["brackets", "objects", "NULs"],
)
def test_deep_or_odd_json_is_a_fast_4xx(client: TestClient, body: bytes) -> None:
    began = time.monotonic()
    response = client.post("/v1/classify", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (200, 400)
    assert time.monotonic() - began < 10


def test_compressed_body_is_rejected_before_reading(client: TestClient) -> None:
    response = client.post("/v1/classify", content=b"x", headers={"Content-Encoding": "gzip"})
    assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_encoding")


@pytest.mark.slow
def test_one_poisoned_request_in_1000_fails_alone(client: TestClient) -> None:
    statuses = [
        client.post("/v1/classify", json={"input": POISON if number == 500 else "a"}).status_code
        for number in range(1000)
    ]
    assert {number for number, status in enumerate(statuses) if status != 200} == {500}
    assert statuses[500] == 500
    assert client.get("/ready").status_code == 200


def test_swagger_ui_uses_local_files_only(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "//" not in page.replace("<!doctype html>", "")
    for path in ("/docs/docs.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/openapi.json"):
        assert client.get(path).status_code == 200
    description = client.get("/openapi.json").json()
    assert description["openapi"].startswith("3.1")
    assert description["security"] == [{"key": []}, {}]
