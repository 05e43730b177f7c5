import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from serve.api import create_api
from serve.inference.engine import Engine
from serve.limits import Limits
from serve.middleware.errors import STATUS
from serve.middleware.gateway import Policy
from tests.support.fake_predictor import POISON, FakePredictor, classify, two_models

SECRET = "xyzzy"  # part of requests; must not appear in responses


@pytest.fixture
def engine() -> Engine:
    return two_models()


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(
        create_api(engine, policy=Policy(limits=Limits(inputs=4, body_bytes=1000, deadline_s=60)))
    ) as client:
        yield client


def refused(response: Any, code: str, param: str | None = None) -> dict[str, Any]:
    """Check that a response has this error code, the error format and no text of the request; returns the
    error."""
    assert response.status_code == STATUS[code]
    assert response.json().keys() == {"error"}
    error: dict[str, Any] = response.json()["error"]
    kind = "invalid_request_error" if STATUS[code] < 500 else "server_error"
    assert error == {"message": error["message"], "type": kind, "param": param, "code": code}
    assert error["message"]
    assert SECRET not in response.text
    assert response.headers["x-request-id"]
    return error


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"input": xyzzy}',
        b'{"input": "xyzzy\xff"}',
        b'{"input": "xyzzy\xed\xa0\x80"}',
        b"[" * 400 + b"]" * 400,
        b'{"input": ' + b"1" * 900 + b"}",
    ],
    ids=["empty", "open", "bare word", "not UTF-8", "UTF-8 of a surrogate", "nested", "huge number"],
)
def test_unparsable_body_is_a_400(client: TestClient, body: bytes) -> None:
    response = client.post("/v1/classify", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    refused(response, response.json()["error"]["code"], response.json()["error"]["param"])


def test_broken_json_and_bad_utf8_are_invalid_json(client: TestClient) -> None:
    for body in (b'{"input": xyzzy}', b'{"input": "xyzzy\xff"}'):
        refused(
            client.post("/v1/classify", content=body, headers={"Content-Type": "application/json"}),
            "invalid_json",
        )


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": 5}, "input"),
        ({"input": None}, "input"),
        ({"input": {SECRET: SECRET}}, "input"),
        ({"input": ["a", 5]}, "input[1]"),
        ({"input": ["a", [SECRET]]}, "input[1]"),
        ({"input": "a", "model": [SECRET]}, "model"),
        ({"input": "a", "use_activation": False}, "use_activation"),
        ({"input": "a", "softmax": False}, "softmax"),
        ({"input": "a", "truncate_prompt_tokens": 3}, "truncate_prompt_tokens"),
        ({"input": "a", "truncation_side": "left"}, "truncation_side"),
        ({"input": "a", "add_special_tokens": False}, "add_special_tokens"),
        ({"input": "a", SECRET: 1}, None),
        ({SECRET: "a"}, "input"),
        ([SECRET], None),
        (SECRET, None),
    ],
)
def test_type_error_names_the_field_only(client: TestClient, body: Any, param: str | None) -> None:
    refused(client.post("/v1/classify", json=body), "invalid_type", param)


def test_wrong_content_type_error_names_the_header(client: TestClient) -> None:
    response = client.post(
        "/v1/classify", content=b'{"input": "xyzzy"}', headers={"Content-Type": "text/plain"}
    )
    assert "Content-Type: application/json" in refused(response, "invalid_type")["message"]


@pytest.mark.parametrize(
    ("given", "param"), [(r'"xyzzy \ud800"', "input"), (r'["\udfff xyzzy"]', "input[0]")]
)
def test_half_a_surrogate_pair_is_a_400(client: TestClient, given: str, param: str) -> None:
    body = f'{{"input": {given}}}'
    response = client.post("/v1/classify", content=body, headers={"Content-Type": "application/json"})
    assert "surrogate" in refused(response, "invalid_type", param)["message"]


@pytest.mark.parametrize(
    ("given", "param"),
    [("", "input"), (" \n", "input"), ([], "input"), (["", " "], "input[0]"), ([""], "input[0]")],
)
def test_empty_text_is_empty_input(client: TestClient, given: Any, param: str) -> None:
    refused(client.post("/v1/classify", json={"input": given}), "empty_input", param)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", {"inputs": "a", "parameters": {"function_to_apply": "sigmoid"}}),
        ("/models/hate", {"inputs": "a", "parameters": {"return_all_scores": False}}),
        ("/models/hate", {"inputs": "a", "parameters": {"candidate_labels": ["x"]}}),
        ("/predict", {"inputs": "a", "raw_scores": True}),
        ("/predict", {"inputs": "a", "truncation_direction": "Left"}),
        ("/v1/moderations", {"input": "a", "threshold": 0.9}),
        ("/v1/words", {"input": "a", "top_k": 3}),
    ],
)
def test_unsupported_field_is_rejected(client: TestClient, path: str, body: Any) -> None:
    assert client.post(path, json=body).status_code in (400, 422)


def test_invalid_text_fails_alone(client: TestClient) -> None:
    answer = classify(client, input=["a!", " ", f"{SECRET} {POISON}", "b"])
    first, empty, failed, last = answer["data"]
    assert (first["label"], last["label"]) == ("hate", "not-hate")
    assert empty == {
        "index": 1,
        "label": None,
        "probs": [],
        "num_classes": 0,
        "error": {"code": "empty_input", "message": "input[1] is empty; send a text"},
    }
    assert failed["error"] == {"code": "internal", "message": "the model failed on this text"}
    assert answer["usage"]["prompt_tokens"] == 3
    for path in ("/predict", "/models/hate", "/v1/moderations"):  # these formats have no error per text
        response = client.post(path, json={"input": ["a", ""], "inputs": ["a", ""]})
        assert (response.status_code, "[1]" in response.text) == (400, True)


def test_too_many_texts_error_shows_both_numbers(client: TestClient) -> None:
    assert len(classify(client, input=["a"] * 4)["data"]) == 4
    message = refused(client.post("/v1/classify", json={"input": [SECRET] * 5}), "too_many_inputs", "input")[
        "message"
    ]
    assert "5" in message
    assert "4" in message


def test_default_limits_are_32_texts_and_2_mb(engine: Engine) -> None:
    with TestClient(create_api(engine)) as client:
        assert len(classify(client, input=["a"] * 32)["data"]) == 32
        refused(client.post("/v1/classify", json={"input": ["a"] * 33}), "too_many_inputs", "input")
        fits = b'{"input": "' + b"a" * (2_000_000 - 13) + b'"}'
        assert len(fits) == 2_000_000
        headers = {"Content-Type": "application/json"}
        assert client.post("/v1/classify", content=fits, headers=headers).json()["data"][0]["truncated"]
        refused(client.post("/v1/classify", content=fits + b" ", headers=headers), "body_too_large")


def test_large_body_is_rejected_chunked_or_not(client: TestClient) -> None:
    body = b'{"input": "' + b"xyzzy" * 300 + b'"}'
    headers = {"Content-Type": "application/json"}
    refused(client.post("/v1/classify", content=body, headers=headers), "body_too_large")
    chunks = (body[i : i + 100] for i in range(0, len(body), 100))
    refused(client.post("/v1/classify", content=chunks, headers=headers), "body_too_large")


def test_unknown_model_is_a_404_listing_models(client: TestClient) -> None:
    error = refused(
        client.post("/v1/classify", json={"input": "a", "model": SECRET}), "model_not_found", "model"
    )
    assert "hate or deepfake" in error["message"]


def test_405_and_404_use_the_error_format(client: TestClient) -> None:
    response = client.get("/v1/classify")
    refused(response, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    refused(client.get(f"/{SECRET}"), "not_found")


def test_model_failure_is_a_500_without_its_message(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        text = f"{SECRET} {POISON}"
        response = client.post("/v1/classify", json={"input": text}, headers={"X-Request-Id": "abc-1"})
    refused(response, "internal")
    assert "cannot read" not in response.text
    assert response.headers["x-request-id"] == "abc-1"
    assert "abc-1 failed with RuntimeError" in caplog.text
    assert SECRET not in caplog.text
    assert classify(client, input="still there")["data"]


def test_exceeded_deadline_is_a_504(engine: Engine) -> None:
    predictor: Any = engine.models["hate"]
    predictor.hold = threading.Event()
    with TestClient(create_api(engine, policy=Policy(limits=Limits(deadline_s=0.05)))) as client:
        response = client.post("/v1/classify", json={"input": SECRET})
        predictor.hold.set()
    refused(response, "deadline_exceeded")
    assert response.headers["retry-after"]


def test_failing_or_missing_model_is_not_ready(client: TestClient, engine: Engine) -> None:
    class Broken(FakePredictor):
        def classify(self, encoded: Any, owners: Any = None) -> Any:
            raise RuntimeError(SECRET)

    engine.models = {"hate": FakePredictor("hate"), "deepfake": Broken("deepfake")}  # type: ignore[dict-item]
    response = client.get("/ready")
    assert "deepfake" in refused(response, "unhealthy")["message"]
    assert response.headers["retry-after"]
    assert client.get("/health").status_code == 200
    engine.models = {}
    refused(client.get("/ready"), "unhealthy")
    refused(client.post("/v1/classify", json={"input": "a"}), "unhealthy")
