"""Compatibility with the clients and request formats of OpenAI, Hugging Face and TEI."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from starlette.testclient import TestClient

from serve.api import create_api
from serve.inference.engine import Engine
from serve.limits import Limits
from serve.middleware.auth import Keys
from serve.middleware.gateway import Policy
from tests.support.fake_predictor import POISON, FakePredictor, two_models
from tests.support.http_server import serving
from tweetelm.tasks import CATEGORIES

KEY = "a-key-of-some-length"


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(create_api(two_models(), policy=Policy(limits=Limits(inputs=4)))) as client:
        yield client


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(create_api(two_models(), policy=Policy(keys=Keys(KEY)))) as url:
        yield url


@pytest.fixture
def moderations(url: str) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        yield client.moderations


def test_openai_client_gets_13_categories(moderations: Any) -> None:
    for model in (openai.omit, "omni-moderation-latest"):
        answer = moderations.create(input=["abc!", "abcdefgh"], model=model)
        assert answer.model == "tweetelm-hate"
        first, second = answer.results
        assert (first.flagged, first.categories.hate, first.category_scores.hate) == (True, True, 0.25)
        assert (second.flagged, second.categories.hate, second.category_scores.hate) == (False, False, 0.0)
        assert set(first.categories.model_dump(by_alias=True)) == set(CATEGORIES)
        assert first.category_applied_input_types.hate == ["text"]
        assert first.category_applied_input_types.violence == []
        assert first.category_scores.violence == 0.0


def test_openai_client_lists_and_retrieves_models(url: str, moderations: Any) -> None:
    for model in ("omni-moderation-2024-09-26", "text-moderation-007"):
        assert moderations.create(input="abc!", model=model).results[0].flagged
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        listed = client.models.list().data
        assert [one.id for one in listed] == ["hate", "deepfake"]
        assert client.models.retrieve("deepfake") == listed[1]
        assert listed[0].created == 1795219200  # 2026-11-21, as its card says
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("spam")


def test_machine_category_never_sets_flagged(client: TestClient) -> None:
    body = {"input": "ab!!", "model": "tweetelm-all"}
    (result,) = client.post("/v1/moderations", json=body | {"input": "a" * 15 + "!!!"}).json()["results"]
    assert not result["flagged"]
    (result,) = client.post("/v1/moderations", json=body).json()["results"]
    assert result["categories"]["x-machine-generated"]
    assert result["category_scores"]["x-machine-generated"] == 0.5
    assert set(result["categories"]) == {*CATEGORIES, "x-machine-generated"}


def test_text_parts_are_joined_and_images_rejected(moderations: Any) -> None:
    parts = [{"type": "text", "text": "a!"}, {"type": "text", "text": "!"}]
    (result,) = moderations.create(input=parts).results
    assert result.category_scores.hate == 0.5  # "a!", newline, "!"
    image = {"type": "image_url", "image_url": {"url": "http://example.org/cat.png"}}
    with pytest.raises(openai.BadRequestError) as caught:
        moderations.create(input=[parts[0], image])
    assert (caught.value.code, caught.value.param) == ("unsupported_input_type", "input[1]")


def test_openai_client_raises_its_errors(url: str, moderations: Any) -> None:
    with pytest.raises(openai.BadRequestError) as empty:
        moderations.create(input=[])
    assert (empty.value.code, empty.value.param) == ("empty_input", "input")
    with pytest.raises(openai.NotFoundError) as unknown:
        moderations.create(input="a", model="gpt-9")
    assert unknown.value.code == "model_not_found"
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="another-key-entirely", max_retries=0) as unauthorized,
        pytest.raises(openai.AuthenticationError) as wrong,
    ):
        unauthorized.moderations.create(input="a")
    assert wrong.value.code == "invalid_api_key"


def test_moderations_without_a_hate_model_is_a_404() -> None:
    engine = Engine({"deepfake": FakePredictor("deepfake")})  # type: ignore[dict-item]
    with TestClient(create_api(engine)) as client:
        response = client.post("/v1/moderations", json={"input": "a"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("path", "label"), [("", "hate"), ("/models/hate", "hate"), ("/models/deepfake", "bot")]
)
def test_hf_client_gets_all_labels_sorted(url: str, path: str, label: str) -> None:
    client = InferenceClient(model=url + (path or "/"), api_key=KEY)
    found = client.text_classification("a!!!")
    assert (found[0].label, found[0].score) == (label, 0.75)
    assert len(found) == 2
    assert len(client.text_classification("a!!!", top_k=1)) == 1


def test_hf_client_raises_its_error(url: str) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        InferenceClient(model=f"{url}/models/spam", api_key=KEY).text_classification("a")
    assert caught.value.response.status_code == 404


def test_hf_route_is_nested_and_sets_headers(client: TestClient) -> None:
    response = client.post("/models/hate", json={"inputs": ["a" * 30, "!"]})
    assert [[one["label"] for one in found] for found in response.json()] == [
        ["not-hate", "hate"],
        ["hate", "not-hate"],
    ]
    sent = {
        name: response.headers[name] for name in ("x-model", "x-model-version", "x-threshold", "x-truncated")
    }
    assert sent == {"x-model": "hate", "x-model-version": "v1", "x-threshold": "0.25", "x-truncated": "0"}
    assert client.post("/", json={"inputs": "a"}).json() == [
        [{"label": "not-hate", "score": 1.0}, {"label": "hate", "score": 0.0}]
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b'{"inputs": 5}', 422),
        (b'{"inputs": "\\ud800"}', 422),
        (b'{"inputs": ""}', 400),
        (b'{"inputs": ["a", "b", "c", "d", "e"]}', 422),
        (b'{"inputs": "a", "parameters": {"function_to_apply": "sigmoid"}}', 422),
        (b'{"inputs": "a", "parameters": {"top_k": 0}}', 422),
    ],
)
@pytest.mark.parametrize("path", ["/", "/predict"])
def test_bad_bodies_use_each_protocols_error_format(
    client: TestClient, path: str, body: bytes, status: int
) -> None:
    if path == "/predict" and b"parameters" in body:
        return
    response = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    error = response.json()
    assert isinstance(error.pop("error"), str)
    kind = "Empty" if status == 400 else "Validation"
    assert error == ({} if path == "/" else {"error_type": kind})


def test_tei_route_is_flat_for_one_text(client: TestClient) -> None:
    one = [{"label": "not-hate", "score": 0.75}, {"label": "hate", "score": 0.25}]
    response = client.post("/predict", json={"inputs": "abc!"})
    assert response.json() == one
    assert (response.headers["x-compute-characters"], response.headers["x-compute-tokens"]) == ("4", "4")
    for several in (["abc!", "def!"], [["abc!"], ["def!"]]):
        assert client.post("/predict", json={"inputs": several}).json() == [one, one]
    named = client.post("/predict?model=deepfake", json={"inputs": "abc!"}).json()
    assert named[0]["label"] == "human"


def test_tei_route_rejects_pairs_and_untruncated_texts(client: TestClient) -> None:
    pair = client.post("/predict", json={"inputs": [["a", "b"]]})
    assert (pair.status_code, pair.json()["error_type"]) == (422, "Validation")
    assert "inputs[0]" in pair.json()["error"]
    long = {"inputs": "a" * 21}
    assert client.post("/predict", json=long).headers["x-truncated"] == "0"
    refused = client.post("/predict", json=long | {"truncate": False})
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")


def test_model_failure_uses_each_protocols_format(client: TestClient) -> None:
    assert client.post("/predict", json={"inputs": POISON}).json()["error_type"] == "Backend"
    response = client.post("/models/hate", json={"inputs": POISON})
    assert response.status_code == 500
    assert response.json().keys() == {"error"}
    assert POISON not in response.text
