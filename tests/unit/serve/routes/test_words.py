import math
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from serve.api import create_api
from serve.inference.engine import Engine
from serve.limits import Limits
from serve.middleware.gateway import Policy
from tests.support.fake_predictor import classify, two_models


@pytest.fixture
def engine() -> Engine:
    return two_models()


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_api(engine, policy=Policy(limits=Limits(inputs=4, deadline_s=60)))) as client:
        yield client


def words(client: TestClient, **body: Any) -> Any:
    """Return the response to a request that must succeed."""
    response = client.post("/v1/words", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_push_is_the_log_odds_difference(client: TestClient) -> None:
    answer = words(client, model="hate", input="no! ok a!!")  # 3 of 10
    expected = [
        log_odds(3 / 10) - log_odds(2 / 6),  # "ok a!!"
        log_odds(3 / 10) - log_odds(3 / 7),  # "no! a!!"
        log_odds(3 / 10) - log_odds(1 / 6),  # "no! ok"
    ]
    found = answer.pop("words")
    assert [word["push"] for word in found] == pytest.approx(expected)
    assert [word["push"] > 0 for word in found] == [False, False, True]
    assert answer == {
        "model": "hate",
        "version": "v1",
        "label": "hate",
        "toward": "hate",
        "probs": [0.7, 0.3],
        "threshold": 0.25,
        "truncated": False,
        "measured": 3,
        "words_total": 3,
    }


def test_words_prediction_matches_classify(client: TestClient) -> None:
    for name in ("hate", "deepfake"):
        explained = words(client, model=name, input="well! it rains on all of us")
        classified = classify(client, model=name, input="well! it rains on all of us")["data"][0]
        shared = ("label", "probs", "threshold", "truncated", "version")
        assert {key: explained[key] for key in shared} == {key: classified[key] for key in shared}


def test_word_offsets_are_code_points(client: TestClient) -> None:
    text = " \U0001f600 ok\n👩‍👩‍👧! x"
    found = words(client, input=text)["words"]
    assert [word["text"] for word in found] == ["\U0001f600", "ok", "👩‍👩‍👧!", "x"]
    assert [text[word["start"] : word["end"]] for word in found] == [word["text"] for word in found]


def test_removed_word_leaves_one_space(client: TestClient) -> None:
    found = words(client, input="! \n a")["words"]
    assert found[1]["push"] == pytest.approx(log_odds(1 / 5) - log_odds(1 - 1e-6))  # without "a": "!"
    assert found[0]["push"] == pytest.approx(log_odds(1 / 5) - log_odds(1e-6))  # without "!": "a"


def test_only_word_is_compared_with_empty_text(client: TestClient) -> None:
    (word,) = words(client, input=" a! ")["words"]
    assert word["push"] == pytest.approx(log_odds(1 / 4) - log_odds(1e-6))


def test_push_is_finite_at_probability_0_or_1(client: TestClient) -> None:
    first, second = words(client, input="! !")["words"]
    assert first["push"] == second["push"] == pytest.approx(log_odds(2 / 3) - log_odds(1 - 1e-6))
    assert words(client, input="!")["words"][0]["push"] == pytest.approx(2 * log_odds(1 - 1e-6))


@pytest.mark.parametrize(("total", "measured"), [(64, 64), (65, 64), (200, 64)])
def test_only_the_first_64_words_are_measured(
    client: TestClient, engine: Engine, total: int, measured: int
) -> None:
    answer = words(client, model="hate", input="a " * total)
    assert (answer["measured"], answer["words_total"], answer["truncated"]) == (measured, total, True)
    assert len(answer["words"]) == measured
    fake: Any = engine.models["hate"]
    assert fake.batches == [1, measured]


def test_words_errors_use_the_error_format(client: TestClient) -> None:
    for body, status, code, param in (
        ({"input": " "}, 400, "empty_input", "input"),
        ({"input": ["a"]}, 400, "invalid_type", "input"),
        ({}, 400, "invalid_type", "input"),
        ({"input": "a", "model": "x"}, 404, "model_not_found", "model"),
        ({"input": "a" * 4001}, 400, "input_too_long", "input"),
    ):
        response = client.post("/v1/words", json=body)
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (status, code, param)
    assert client.get("/v1/words").status_code == 405


def test_failing_text_is_not_quoted(client: TestClient) -> None:
    response = client.post("/v1/words", json={"input": "so poison"})
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal")
    assert "poison" not in response.text
