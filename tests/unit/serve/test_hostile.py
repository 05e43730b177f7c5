"""Hostile bodies: the event loop stays free, so other requests are answered in the meantime."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from benchmarks.hostile import FILE_ROUTE, FILES, JSON, LIMIT, ROUTES, TEXTS, file_body, json_body, text_body
from serve.api import create_api
from serve.inference.engine import Engine
from serve.limits import MOST_INPUTS, Limits
from serve.middleware.gateway import Policy
from serve.routes.json_body import MOST_PIECES, loads
from tests.support.checkpoints import small_tokenizer
from tests.support.fake_predictor import FakePredictor, two_models
from tests.support.http_server import serving
from tests.support.watchdog import Watchdog
from tests.unit.serve.observability.test_metrics import sample
from tweetelm.config.text_config import TextConfig
from tweetelm.encoding import Encoder

HELD_S = 0.1
JSON_TYPE = "application/json"
# White space, and with all defenses also invisible characters, is removed before truncation.
SHORT = ("space", "lines", "zero width", "right to left", "NUL")


class Reader(FakePredictor):
    """Encodes texts like a real model, with all defenses on, and classifies their first 20 tokens."""

    def __init__(self, task: str) -> None:
        super().__init__(task)
        self.encoder = Encoder(tokenizer=small_tokenizer(), text=TextConfig(defend=True), max_tokens=256)

    def encode(self, texts: Any) -> Any:
        read = self.encoder.encode(texts)
        return [type(item)(item.ids[:20], item.truncated) for item in read]

    def classify(self, encoded: Any, owners: Any = None) -> Any:
        return [self._one("a" * len(item.ids), item.truncated) for item in encoded]


@pytest.fixture(scope="module")
def watchdog() -> Watchdog:
    engine = Engine({"hate": Reader("hate"), "deepfake": Reader("deepfake")})  # type: ignore[dict-item]
    return Watchdog(create_api(engine))


@pytest.fixture(scope="module")
def url(watchdog: Watchdog) -> Iterator[str]:
    with serving(watchdog) as url:
        yield url


def post_unheld(
    watchdog: Watchdog, url: str, path: str, body: bytes, kind: str = JSON_TYPE
) -> httpx.Response:
    """Send a request, up to three times, and return the response if the event loop was free meanwhile.

    A slow handler blocks the loop every time; another process does not delay it three times in a row.
    """
    for _ in range(3):
        watchdog.worst_s = 0.0
        answer = post(url, path, body, kind)
        if watchdog.worst_s < HELD_S:
            return answer
    raise AssertionError(f"the event loop was blocked for {watchdog.worst_s:.2f} s")


def post(url: str, path: str, body: bytes, kind: str = JSON_TYPE) -> httpx.Response:
    return httpx.post(f"{url}{path}", content=body, headers={"Content-Type": kind}, timeout=60)


# Each kind goes to one route in turn, slow kinds to three. The benchmark sends all kinds to all routes.
PATHS = list(ROUTES)
TURNS = [[(kind, PATHS[(at + turn) % 6]) for at, kind in enumerate(JSON)] for turn in (0, 2, 4)]
OTHERS = [pytest.param(*pair, marks=pytest.mark.slow) for turn in TURNS[1:] for pair in turn]


@pytest.mark.parametrize(("kind", "path"), [*TURNS[0], *OTHERS])
def test_hostile_json_is_rejected_at_once(watchdog: Watchdog, url: str, kind: str, path: str) -> None:
    assert post_unheld(watchdog, url, path, json_body(kind, LIMIT, ROUTES[path])).status_code < 500


@pytest.mark.parametrize("texts", [1, pytest.param(32, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", TEXTS)
def test_hostile_text_is_classified_and_truncated(
    watchdog: Watchdog, url: str, kind: str, texts: int
) -> None:
    answer = post_unheld(watchdog, url, "/v1/classify", text_body(kind, LIMIT, "input", texts=texts))
    assert answer.status_code == 200
    assert all(item["truncated"] == (kind not in SHORT) for item in answer.json()["data"])


@pytest.mark.parametrize("kind", FILES)
def test_hostile_file_does_not_block_others(watchdog: Watchdog, url: str, kind: str) -> None:
    answer = post_unheld(watchdog, url, FILE_ROUTE, file_body(kind, 3_000_000), FILES[kind][0])
    assert answer.status_code == 200
    assert len(answer.content) < 1_000_000


@pytest.mark.parametrize("path", ROUTES)
def test_too_many_texts_are_rejected_unparsed(url: str, path: str) -> None:
    for count in (33, 2 * MOST_INPUTS, 20 * MOST_INPUTS):
        texts = ["a"] * count
        answer = httpx.post(f"{url}{path}", json={"input": texts, "inputs": texts})
        assert answer.status_code in (400, 422)
        assert path == "/v1/words" or "expected at most" in answer.text or "has more than" in answer.text


def test_longest_allowed_list_is_parsed() -> None:
    parts = [{"type": "text", "text": "a"}] * MOST_INPUTS
    assert len(loads(json.dumps({"input": parts}).encode())["input"]) == MOST_INPUTS
    with pytest.raises(ValueError, match=str(MOST_PIECES)):
        loads(json.dumps({"input": parts * 2}).encode())


def test_ready_needs_no_pass_while_busy() -> None:
    engine = two_models()
    engine.answers.capacity = 0  # equal texts are read again
    fake: Any = engine.models["hate"]
    with serving(create_api(engine)) as url, httpx.Client(base_url=url) as client:
        assert client.get("/ready").status_code == 200
        fake.hold = threading.Event()
        busy = threading.Thread(target=lambda: httpx.post(f"{url}/v1/classify", json={"input": ["a"] * 8}))
        busy.start()
        while not sample(client.get("/metrics").text, "tweetelm_in_flight"):
            time.sleep(0.01)
        began = time.monotonic()
        assert all(client.get("/ready").status_code == 200 for _ in range(100))
        assert time.monotonic() - began < 5, "each request waited for the model"
        fake.hold.set()
        busy.join()
    assert fake.batches == [1, 8]


def test_concurrent_ready_checks_share_one_probe() -> None:
    engine = two_models()

    async def run() -> list[bool]:
        found = [engine.readiness.works(engine.models["hate"]) for _ in range(600)]
        return list(await asyncio.gather(*found))

    assert all(asyncio.run(run()))
    fake: Any = engine.models["hate"]
    assert fake.batches == [1]


def test_hung_model_is_not_ready_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.inference.batcher.STUCK_AFTER_S", 0.05)
    engine = two_models()
    fake: Any = engine.models["hate"]

    async def run() -> None:
        assert await engine.readiness.works(fake)
        fake.hold = threading.Event()
        stuck = asyncio.create_task(engine.classify(fake, ["a"]))
        while not engine.batcher.is_stuck:
            await asyncio.sleep(0.01)
        assert not await engine.readiness.works(fake)
        fake.hold.set()
        await stuck
        assert await engine.readiness.works(fake)

    asyncio.run(run())


def test_gauges_return_to_zero_when_idle() -> None:
    engine = two_models()
    with TestClient(create_api(engine)) as client:
        client.post("/v1/classify", json={"input": ["some text", "and more"]})
        metrics = client.get("/metrics").text
    assert sample(metrics, "tweetelm_waiting_tokens") == 0
    assert sample(metrics, "tweetelm_in_flight") == 0


def _left(client: httpx.Client) -> float:
    metrics = client.get("/metrics").text
    return sample(metrics, "tweetelm_requests_total", route="/v1/classify", status="499")


def test_disconnect_cancels_queued_texts() -> None:
    engine = two_models()
    engine.answers.capacity = 0  # equal texts are read again
    fake: Any = engine.models["hate"]
    fake.hold = threading.Event()
    with serving(create_api(engine)) as url, httpx.Client(base_url=url) as client:
        for timeout in (0.3, 0.1, 0.1, 0.1):
            with pytest.raises(httpx.TimeoutException):
                httpx.post(f"{url}/v1/classify", json={"input": ["a"] * 4}, timeout=timeout)
        deadline = time.monotonic() + 20
        while _left(client) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert _left(client) == 4
        fake.hold.set()
        assert client.post("/v1/classify", json={"input": "a"}).status_code == 200
        metrics = client.get("/metrics").text
    assert fake.batches == [4, 1]
    assert sample(metrics, "tweetelm_waiting_tokens") == 0
    assert sample(metrics, "tweetelm_in_flight") == 0


def test_slow_upload_times_out_and_frees_its_slot() -> None:
    limits = Limits(body_s=0.3, file_bytes_per_s=100_000)
    with serving(create_api(two_models(), policy=Policy(limits=limits))) as url:

        def trickle() -> Iterator[bytes]:
            for _ in range(100):
                yield b"a\n"
                time.sleep(0.05)

        headers = {"Content-Type": "text/plain"}
        slow = httpx.post(f"{url}/v1/classify/file", content=trickle(), headers=headers, timeout=20)
        assert (slow.status_code, slow.json()["error"]["code"]) == (408, "body_too_slow")
        assert httpx.post(f"{url}/v1/classify/file", content=b"a\n", headers=headers).status_code == 200


def test_every_get_route_answers_head() -> None:
    with TestClient(create_api(two_models())) as client:
        for path in (
            "/",
            "/health",
            "/ready",
            "/info",
            "/v1/models",
            "/v1/models/hate",
            "/metrics",
            "/docs",
            "/ui/page.js",
        ):
            got, head = client.get(path), client.head(path)
            assert (head.status_code, head.content) == (200, b""), path
            assert head.headers["content-type"] == got.headers["content-type"]
        assert client.head("/v1/classify").status_code == 405
        assert client.post("/health").headers["allow"] == "GET, HEAD"
