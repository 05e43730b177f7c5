"""What nobody thought of: bodies from the description and against it, texts of every kind of character."""

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
from serve.inference.engine import Engine, Limits
from serve.middleware.gateway import Policy
from tests.support.checkpoints import checkpoint
from tests.support.fake_predictor import two_models
from tweetelm.config.text_config import TextConfig
from tweetelm.predictor import Predictor

pytestmark = pytest.mark.slow
# The whole of it is TWEETELM_FUZZ=10: ten thousand cases and a hundred thousand texts.
FACTOR = int(os.environ.get("TWEETELM_FUZZ", "1"))
TEXTS = 100  # in one request
LONGEST_S = 0.05


@schemathesis.serializer("application/x-ndjson")
def as_lines(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """A line of JSON, or nothing of the kind."""
    return str(value).encode("utf-8", "surrogatepass")


app = create_api(two_models(), policy=Policy(limits=Limits(inputs=2 * TEXTS)))
schema = schemathesis.openapi.from_asgi("/openapi.json", app)
BODIES = 7  # operations that read one; the others are asked once or a few times


@schema.parametrize()
@settings(
    max_examples=1000 * FACTOR // BODIES + 1,
    suppress_health_check=list(HealthCheck),
    deadline=None,
    derandomize=True,
)
def test_whatever_the_description_allows_or_forbids_is_answered_as_described(case: schemathesis.Case) -> None:
    response = case.call()
    case.validate_response(
        response, checks=[not_a_server_error, response_schema_conformance, content_type_conformance]
    )


def test_as_many_operations_read_a_body_as_share_the_cases() -> None:
    paths = TestClient(app).get("/openapi.json").json()["paths"]
    assert sum("requestBody" in one for path in paths.values() for one in path.values()) == BODIES


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A real tokenizer and a real, small model."""
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
def test_any_text_of_any_characters_is_classified_or_refused(client: TestClient, texts: list[str]) -> None:
    body = json.dumps({"input": [text for text in texts if text] or ["a"]})
    response = client.post("/v1/classify", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (200, 400), response.text
    whole = [text for text in texts if text.strip() and not any(0xD800 <= ord(c) < 0xE000 for c in text)]
    answered = client.post("/predict", json={"inputs": whole or ["a"]})
    assert answered.status_code == 200
    for scores in answered.json():
        assert sum(one["score"] for one in scores) == pytest.approx(1, abs=1e-5)


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
    """A few pieces, each repeated up to ten thousand times; longer ones are rarer."""
    parts = range(chance.randint(1, 6))
    return "".join(chance.choice(PIECES) * int(10 ** chance.uniform(0, 4)) for _ in parts)[:40_000]


def encode_s(predictor: Predictor, text: str) -> float:
    """Processor seconds before the model; the least of three where it seems slow."""
    best = math.inf
    for _ in range(3):
        began = time.process_time()
        predictor.encode([text])
        best = min(best, time.process_time() - began)
        if best < LONGEST_S:
            break
    return best


def test_runs_of_any_characters_cost_little_before_the_model(client: TestClient) -> None:
    chance, slowest = random.Random(0), (0.0, "")
    app: Any = client.app
    (model,) = app.state.engine.models.values()
    model.encode(["\u0301"])  # makes what every later text uses
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
