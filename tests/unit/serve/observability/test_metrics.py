from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from serve.api import create_api
from tests.support.fake_predictor import classify, two_models


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(create_api(two_models())) as client:
        yield client


def sample(text: str, name: str, **labels: str) -> float:
    """Return a sample of Prometheus' text format; 0 if it is missing."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return 0.0


def test_metrics_count_requests_texts_and_tokens(client: TestClient) -> None:
    classify(client, input=["a!", "b", "c" * 30])
    client.post("/v1/classify", json={"input": ""})
    response = client.get("/metrics")
    text = response.text
    assert response.headers["content-type"].startswith("text/plain")
    route = {"route": "/v1/classify"}
    assert sample(text, "tweetelm_requests_total", **route, status="200") == 1
    assert sample(text, "tweetelm_requests_total", **route, status="400") == 1
    assert sample(text, "tweetelm_request_seconds_count", **route) == 2
    assert sample(text, "tweetelm_texts_total", model="hate", version="v1", label="hate") == 1
    assert sample(text, "tweetelm_texts_total", model="hate", version="v1", label="not-hate") == 2
    assert sample(text, "tweetelm_tokens_total", model="hate") == 23
    assert sample(text, "tweetelm_truncated_total", model="hate") == 1


def test_unknown_paths_share_one_series(client: TestClient) -> None:
    for number in range(5):
        client.get(f"/unknown-{number}")
    text = client.get("/metrics").text
    assert "unknown-" not in text
    assert sample(text, "tweetelm_requests_total", route="other", status="404") == 5
