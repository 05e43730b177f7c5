"""What nobody thought of: bodies from the description and against it, texts of every kind of character."""

import json
import os
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
from serve.engine import Engine, Limits
from serve.gate import Policy
from tests.checkpoints import checkpoint
from tests.fake_predictor import two_models
from tweetelm.predictor import Predictor

pytestmark = pytest.mark.slow
# The whole of it is TWEETELM_FUZZ=10: ten thousand cases and a hundred thousand texts.
FACTOR = int(os.environ.get("TWEETELM_FUZZ", "1"))
TEXTS = 100  # in one request


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
    predictor = Predictor.load(checkpoint(tmp_path_factory.mktemp("model") / "hate"), device="cpu")
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
