import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from serve.api import create_api
from serve.engine import Limits, LocalEngine
from serve.errors import STATUS
from tests.fake_predictor import POISON, FakePredictor, card
from tweetelm.tasks import DEEPFAKE, HATE, SYNTHETIC_NOTICE

SECRET = "xyzzy"  # stands in what is sent, and must not come back


@pytest.fixture
def engine() -> LocalEngine:
    hate = FakePredictor("hate", threshold=0.25, card=card("hate", init="pretrained", synthetic=False))
    deepfake = FakePredictor("deepfake", version="v7", card=card("deepfake", init="random", synthetic=True))
    return LocalEngine({"hate": hate, "deepfake": deepfake})


@pytest.fixture
def client(engine: LocalEngine) -> Iterator[TestClient]:
    with TestClient(create_api(engine, limits=Limits(inputs=4, body_bytes=1000, deadline_s=5))) as client:
        yield client


def classify(client: TestClient, **body: Any) -> Any:
    response = client.post("/v1/classify", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def refused(response: Any, code: str, param: str | None = None) -> dict[str, Any]:
    """The error of an answer that must be this one, in the one shape, and silent about what was sent."""
    assert response.status_code == STATUS[code]
    assert response.json().keys() == {"error"}
    error: dict[str, Any] = response.json()["error"]
    kind = "invalid_request_error" if STATUS[code] < 500 else "server_error"
    assert error == {"message": error["message"], "type": kind, "param": param, "code": code}
    assert error["message"]
    assert SECRET not in response.text
    assert response.headers["x-request-id"]
    return error


def test_a_string_gets_one_classification_in_the_shape_of_vllm(client: TestClient) -> None:
    answer = classify(client, model="hate", input="no!!")
    assert answer.pop("id").startswith("classify-")
    assert answer.pop("created") > 1_700_000_000
    assert answer == {
        "object": "list",
        "model": "hate",
        "data": [
            {
                "index": 0,
                "label": "hate",
                "probs": [0.5, 0.5],
                "num_classes": 2,
                "threshold": 0.25,
                "truncated": False,
                "version": "v1",
            }
        ],
        "usage": {
            "prompt_tokens": 4,
            "total_tokens": 4,
            "completion_tokens": 0,
            "prompt_tokens_details": None,
        },
    }


def test_a_list_keeps_its_order_and_says_which_text_was_cut(client: TestClient) -> None:
    data = classify(client, model="deepfake", input=["abcd", "a!!!", "a" * 21])["data"]
    assert [(one["index"], one["label"], one["truncated"]) for one in data] == [
        (0, "human", False),
        (1, "bot", False),
        (2, "human", True),
    ]
    assert data[1]["probs"] == [0.25, 0.75]
    assert {one["version"] for one in data} == {"v7"}


def test_no_model_named_means_the_first_one_and_the_answer_names_it(client: TestClient) -> None:
    assert classify(client, input="a")["model"] == "hate"
    assert client.get("/v1/models").json()["data"][0]["id"] == "hate"


def test_the_short_path_answers_the_same(client: TestClient) -> None:
    assert (
        client.post("/classify", json={"input": "a!"}).json()["data"] == classify(client, input="a!")["data"]
    )


def test_keys_of_other_clients_are_ignored_but_raw_logits_are_refused(client: TestClient) -> None:
    assert classify(client, input="a", user="u", priority=0, use_activation=True)["data"]
    refused(
        client.post("/v1/classify", json={"input": "a", "use_activation": False}),
        "invalid_type",
        "use_activation",
    )


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
def test_a_body_that_cannot_be_read_is_a_400(client: TestClient, body: bytes) -> None:
    response = client.post("/v1/classify", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    refused(response, response.json()["error"]["code"], response.json()["error"]["param"])


def test_broken_json_and_bytes_that_are_no_utf8_are_invalid_json(client: TestClient) -> None:
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
        ({SECRET: "a"}, "input"),
        ([SECRET], None),
        (SECRET, None),
    ],
)
def test_a_wrong_type_is_named_by_its_place_alone(client: TestClient, body: Any, param: str | None) -> None:
    refused(client.post("/v1/classify", json=body), "invalid_type", param)


def test_a_body_that_is_not_sent_as_json_is_told_how_to_be(client: TestClient) -> None:
    response = client.post(
        "/v1/classify", content=b'{"input": "xyzzy"}', headers={"Content-Type": "text/plain"}
    )
    assert "Content-Type: application/json" in refused(response, "invalid_type")["message"]


@pytest.mark.parametrize(
    ("given", "param"), [(r'"xyzzy \ud800"', "input"), (r'["a", "\udfff xyzzy"]', "input[1]")]
)
def test_half_a_surrogate_pair_is_a_400_and_not_a_crash(client: TestClient, given: str, param: str) -> None:
    body = f'{{"input": {given}}}'
    response = client.post("/v1/classify", content=body, headers={"Content-Type": "application/json"})
    assert "surrogate" in refused(response, "invalid_type", param)["message"]


@pytest.mark.parametrize(
    ("given", "param"),
    [("", "input"), (" \n", "input"), ([], "input"), (["a", ""], "input[1]"), ([""], "input[0]")],
)
def test_nothing_to_classify_is_empty_input(client: TestClient, given: Any, param: str) -> None:
    refused(client.post("/v1/classify", json={"input": given}), "empty_input", param)


def test_more_texts_than_the_limit_are_refused_with_both_numbers(client: TestClient) -> None:
    assert len(classify(client, input=["a"] * 4)["data"]) == 4
    message = refused(client.post("/v1/classify", json={"input": [SECRET] * 5}), "too_many_inputs", "input")[
        "message"
    ]
    assert "5" in message
    assert "4" in message


def test_the_limit_is_32_texts_and_two_million_bytes_by_default(engine: LocalEngine) -> None:
    with TestClient(create_api(engine)) as client:
        assert len(classify(client, input=["a"] * 32)["data"]) == 32
        refused(client.post("/v1/classify", json={"input": ["a"] * 33}), "too_many_inputs", "input")
        fits = b'{"input": "' + b"a" * (2_000_000 - 13) + b'"}'
        assert len(fits) == 2_000_000
        headers = {"Content-Type": "application/json"}
        assert client.post("/v1/classify", content=fits, headers=headers).json()["data"][0]["truncated"]
        refused(client.post("/v1/classify", content=fits + b" ", headers=headers), "body_too_large")


def test_a_large_body_is_refused_whether_it_says_its_length_or_comes_in_chunks(client: TestClient) -> None:
    body = b'{"input": "' + b"xyzzy" * 300 + b'"}'
    headers = {"Content-Type": "application/json"}
    refused(client.post("/v1/classify", content=body, headers=headers), "body_too_large")
    chunks = (body[i : i + 100] for i in range(0, len(body), 100))
    refused(client.post("/v1/classify", content=chunks, headers=headers), "body_too_large")


def test_an_unknown_model_is_a_404_that_lists_those_there_are(client: TestClient) -> None:
    error = refused(
        client.post("/v1/classify", json={"input": "a", "model": SECRET}), "model_not_found", "model"
    )
    assert "hate and deepfake" in error["message"]


def test_a_wrong_method_and_a_wrong_path_have_the_same_shape(client: TestClient) -> None:
    response = client.get("/v1/classify")
    refused(response, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    refused(client.get(f"/{SECRET}"), "not_found")


def test_a_failing_model_is_a_500_without_its_words_in_answer_or_log(
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


def test_past_the_deadline_is_a_504(engine: LocalEngine) -> None:
    import threading

    predictor: Any = engine.models["hate"]
    predictor.hold = threading.Event()
    with TestClient(create_api(engine, limits=Limits(deadline_s=0.05))) as client:
        response = client.post("/v1/classify", json={"input": SECRET})
        predictor.hold.set()
    refused(response, "deadline_exceeded")
    assert response.headers["retry-after"]


def test_every_answer_has_a_request_id_and_a_strange_one_is_replaced(client: TestClient) -> None:
    ids = [client.get("/health").headers["x-request-id"] for _ in range(2)]
    assert ids[0] != ids[1]
    assert client.get("/health", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    for strange in ("a b", "x" * 129, "<script>"):
        assert client.get("/health", headers={"X-Request-Id": strange}).headers["x-request-id"] != strange


def test_behind_a_server_that_names_requests_the_api_writes_no_second_header(engine: LocalEngine) -> None:
    with TestClient(create_api(engine, answer_request_id=False)) as client:
        assert "x-request-id" not in client.get("/health").headers


def test_ready_runs_every_model(client: TestClient, engine: LocalEngine) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready", "models": {"hate": "v1", "deepfake": "v7"}}
    fakes: list[Any] = list(engine.models.values())
    assert [fake.batches for fake in fakes] == [[1], [1]]


def test_a_model_that_fails_is_not_ready_and_neither_is_none(client: TestClient, engine: LocalEngine) -> None:
    class Broken(FakePredictor):
        def classify(self, encoded: Any) -> Any:
            raise RuntimeError(SECRET)

    engine.models = {"hate": FakePredictor("hate"), "deepfake": Broken("deepfake")}  # type: ignore[dict-item]
    response = client.get("/ready")
    assert "deepfake" in refused(response, "unhealthy")["message"]
    assert response.headers["retry-after"]
    assert client.get("/health").status_code == 200
    engine.models = {}
    refused(client.get("/ready"), "unhealthy")
    refused(client.post("/v1/classify", json={"input": "a"}), "unhealthy")


def test_info_says_what_is_served_where_it_comes_from_and_what_it_is_not_for(
    client: TestClient, engine: LocalEngine
) -> None:
    info = client.get("/info").json()
    hate, deepfake = info["models"]["hate"], info["models"]["deepfake"]
    assert (hate["version"], hate["threshold"], hate["weights"], hate["notices"]) == (
        "v1",
        0.25,
        "pretrained",
        [],
    )
    assert (hate["data_md5"], hate["limits"]) == ("0123.dir", HATE.limits)
    assert (deepfake["weights"], deepfake["limits"]) == ("random", DEEPFAKE.limits)
    assert deepfake["notices"][0] == SYNTHETIC_NOTICE
    assert "random" in deepfake["notices"][1]
    assert info["limits"] == {"inputs": 4, "body_bytes": 1000, "deadline_s": 5}
    assert info["reload_error"] is None
    engine.reload_error = "FileNotFoundError while loading"
    assert client.get("/info").json()["reload_error"] == "FileNotFoundError while loading"


def test_a_model_without_a_card_claims_nothing(engine: LocalEngine) -> None:
    engine.models = {"hate": FakePredictor("hate", version="")}  # type: ignore[dict-item]
    with TestClient(create_api(engine)) as client:
        about = client.get("/info").json()["models"]["hate"]
    assert (about["weights"], about["data_md5"], about["notices"]) == (None, None, [])


def test_the_page_and_its_files_come_with_a_policy_that_allows_only_themselves(client: TestClient) -> None:
    for path, media_type in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        response = client.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(media_type)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"


def test_the_page_loads_nothing_from_elsewhere_and_writes_no_markup() -> None:
    folder = Path(__file__).parent.parent / "serve" / "page"
    html, css, script = ((folder / name).read_text() for name in ("index.html", "page.css", "page.js"))
    for text in (html, css, script):
        assert "//" not in text.replace("// ", "")  # no address of another server
    for written in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert written not in script
    assert "style=" not in html  # the policy forbids it
    assert 'for="tweet"' in html


def test_the_description_tells_the_errors_that_there_are(client: TestClient) -> None:
    responses = client.get("/openapi.json").json()["paths"]["/v1/classify"]["post"]["responses"]
    assert responses.keys() == {"200", "400", "404", "413", "500", "503", "504"}
