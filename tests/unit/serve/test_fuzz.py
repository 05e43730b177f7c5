"""Fuzzing: valid and invalid bodies generated from OpenAPI, and texts of arbitrary Unicode characters."""

import json
import math
import os
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from starlette.testclient import TestClient

from serve.api import create_api
from serve.inference.engine import Engine
from serve.limits import Limits
from serve.middleware.gateway import Policy
from tests.support.checkpoints import checkpoint
from tests.support.fake_predictor import two_models
from tweetelm.config.text_config import TextConfig
from tweetelm.predictor import Predictor

pytestmark = pytest.mark.slow
# TWEETELM_FUZZ=10 runs all: 10,000 cases and 100,000 texts.
FACTOR = int(os.environ.get("TWEETELM_FUZZ", "1"))
TEXTS = 100  # per request
LONGEST_S = 0.05


@schemathesis.serializer("application/x-ndjson")
def as_lines(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Serialize a value as its string, which may not be a line of JSON."""
    return str(value).encode("utf-8", "surrogatepass")


app = create_api(two_models(), policy=Policy(limits=Limits(inputs=2 * TEXTS)))
schema = schemathesis.openapi.from_asgi("/openapi.json", app)
BODIES = 7  # operations with a body; the others get one or a few cases


@schema.parametrize()
@settings(
    max_examples=1000 * FACTOR // BODIES + 1,
    suppress_health_check=list(HealthCheck),
    deadline=None,
    derandomize=True,
)
def test_responses_conform_to_openapi(case: schemathesis.Case) -> None:
    response = case.call()
    case.validate_response(
        response, checks=[not_a_server_error, response_schema_conformance, content_type_conformance]
    )


def test_fuzz_cases_cover_every_body_route() -> None:
    paths = TestClient(app).get("/openapi.json").json()["paths"]
    assert sum("requestBody" in item for path in paths.values() for item in path.values()) == BODIES


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Serve a small model with the OpenELM tokenizer."""
    predictor = Predictor.load(
        checkpoint(tmp_path_factory.mktemp("model") / "hate", max_tokens=256), device="cpu"
    )
    policy = Policy(limits=Limits(inputs=2 * TEXTS))
    with TestClient(create_api(Engine({"hate": predictor}), policy=policy)) as client:
        yield client


@settings(max_examples=100 * FACTOR, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True)
@given(
    texts=st.lists(
        st.text(st.characters(codec=None, exclude_categories=()), min_size=0, max_size=40),
        min_size=TEXTS,
        max_size=TEXTS,
    )
)
def test_any_unicode_is_classified_or_rejected(client: TestClient, texts: list[str]) -> None:
    body = json.dumps({"input": [text for text in texts if text] or ["a"]})
    response = client.post("/v1/classify", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (200, 400), response.text
    whole = [text for text in texts if text.strip() and not any(0xD800 <= ord(c) < 0xE000 for c in text)]
    answered = client.post("/predict", json={"inputs": whole or ["a"]})
    assert answered.status_code == 200
    for scores in answered.json():
        assert sum(item["score"] for item in scores) == pytest.approx(1, abs=1e-5)


MARKS = "\u0301\u0316\u0344\u0f73\u05b8\u0e38\u1dc4\u20dd\u1e9b\u0323\uac00\u1100\u1161\u11a8"
INVISIBLE = (
    "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u202a\u202e\u2066\u2069\u200e\u200f\u061c\U000e0041\x00"
)
LETTERS = "аﬃ𝐛Ⓐｗ١漢a0#$ "
WORDS = ["a\u0301", "e\u0301\u0316", "\u1100\u1161\u11a8", "@a", "@", "http://", "www.", "h4", "aa", "ooo"]
REFERENCES = [
    "&amp;",
    "&#38;",
    "&#x26;",
    "amp;",
    "&",
    "&Zero",
    "WidthSpace;",
    "<U+0301>",
    "<U+003C>",
    "&#x1D41B;",
]
EMOJI = ["😀", "👩\u200d👩\u200d👧", "❤\ufe0f\u200d🔥", "🏳\ufe0f\u200d🌈", "🇩", "👍🏽", "⌚\ufe0e"]
PIECES = [*MARKS, *INVISIBLE, *LETTERS, *WORDS, *REFERENCES, *EMOJI]


def runs(chance: random.Random) -> str:
    """Return a few pieces, each repeated up to 10,000 times; long runs are rarer."""
    parts = range(chance.randint(1, 6))
    return "".join(chance.choice(PIECES) * int(10 ** chance.uniform(0, 4)) for _ in parts)[:40_000]


def encode_s(predictor: Predictor, text: str) -> float:
    """Return the CPU seconds of encoding; the minimum of three runs if the first is slow."""
    best = math.inf
    for _ in range(3):
        began = time.process_time()
        predictor.encode([text])
        best = min(best, time.process_time() - began)
        if best < LONGEST_S:
            break
    return best


def test_encoding_time_is_bounded_for_repeats(client: TestClient) -> None:
    chance, slowest = random.Random(0), (0.0, "")
    app: Any = client.app
    (model,) = app.state.engine.models.values()
    model.encode(["\u0301"])  # fills the caches that later texts use
    readers = [model.with_text(TextConfig(defend=defend)) for defend in (False, True)]
    for number in range(1000 * FACTOR**2):
        text = runs(chance)
        slowest = max(slowest, (encode_s(readers[number % 2], text), text[:20]))
        if number % 10 == 0:
            response = client.post("/v1/classify", json={"input": [runs(chance) for _ in range(9)] + [text]})
            assert response.status_code in (200, 400), response.text
    print(
        f"the slowest of {1000 * FACTOR**2} took {1e3 * slowest[0]:.0f} ms before the model: {slowest[1]!r}…"
    )
    assert slowest[0] < LONGEST_S, slowest[1]
