import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from serve.api import create_api
from serve.inference.engine import Engine
from serve.limits import Limits
from serve.middleware.gateway import Policy
from tests.support.fake_predictor import FakePredictor, classify, two_models
from tests.support.places import ROOT
from tweetelm.tasks import DEEPFAKE, HATE, SYNTHETIC_NOTICE

ENV = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}


@pytest.fixture
def engine() -> Engine:
    return two_models()


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(
        create_api(engine, policy=Policy(limits=Limits(inputs=4, body_bytes=1000, deadline_s=60)))
    ) as client:
        yield client


def test_string_gets_one_result_in_vllm_format(client: TestClient) -> None:
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


def test_list_keeps_order_and_marks_truncation(client: TestClient) -> None:
    data = classify(client, model="deepfake", input=["abcd", "a!!!", "a" * 21])["data"]
    assert [(item["index"], item["label"], item["truncated"]) for item in data] == [
        (0, "human", False),
        (1, "bot", False),
        (2, "human", True),
    ]
    assert data[1]["probs"] == [0.25, 0.75]
    assert {item["version"] for item in data} == {"v7"}


def test_default_model_is_the_first(client: TestClient) -> None:
    assert classify(client, input="a")["model"] == "hate"
    assert client.get("/v1/models").json()["data"][0]["id"] == "hate"


def test_classify_alias_returns_the_same(client: TestClient) -> None:
    assert (
        client.post("/classify", json={"input": "a!"}).json()["data"] == classify(client, input="a!")["data"]
    )


def test_fields_of_other_clients_are_ignored(client: TestClient) -> None:
    assert classify(client, input="a", user="u", priority=0, use_activation=True)["data"]


def test_invalid_request_id_is_replaced(client: TestClient) -> None:
    ids = [client.get("/health").headers["x-request-id"] for _ in range(2)]
    assert ids[0] != ids[1]
    assert client.get("/health", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    for strange in ("a b", "x" * 129, "<script>"):
        assert client.get("/health", headers={"X-Request-Id": strange}).headers["x-request-id"] != strange


def test_request_id_header_is_not_duplicated(engine: Engine) -> None:
    with TestClient(create_api(engine, policy=Policy(answer_request_id=False))) as client:
        assert "x-request-id" not in client.get("/health").headers


def test_ready_probes_every_model(client: TestClient, engine: Engine) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready", "models": {"hate": "v1", "deepfake": "v7"}}
    fakes: list[Any] = list(engine.models.values())
    assert [fake.batches for fake in fakes] == [[1], [1]]


def test_info_describes_models_and_limits(client: TestClient, engine: Engine) -> None:
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
    assert info["limits"].items() >= {"inputs": 4, "body_bytes": 1000, "deadline_s": 60}.items()
    assert (info["limits_are_for"], info["keys_needed"]) == ("one replica", False)
    assert (hate["precision"], hate["max_tokens"]) == ("float32", 20)
    assert info["reload_error"] is None
    engine.reload_error = "FileNotFoundError while loading"
    assert client.get("/info").json()["reload_error"] == "FileNotFoundError while loading"


def test_info_without_card_has_null_fields(engine: Engine) -> None:
    engine.models = {"hate": FakePredictor("hate", version="")}  # type: ignore[dict-item]
    with TestClient(create_api(engine)) as client:
        about = client.get("/info").json()["models"]["hate"]
    assert (about["weights"], about["data_md5"], about["notices"]) == (None, None, [])


def test_page_csp_allows_only_own_files(client: TestClient) -> None:
    served = {"/": "text/html", "/ui/page.css": "text/css", "/ui/page.js": "text/javascript"}
    for path, media_type in served.items():
        response = client.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(media_type)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
    for wrong in ("/ui/index.html", "/ui/none.js", "/ui/..%2Fapi.py"):
        assert client.get(wrong).status_code == 404


def test_page_has_no_external_files_or_inner_html() -> None:
    folder = ROOT / "serve" / "ui"
    html, css = ((folder / name).read_text() for name in ("index.html", "page.css"))
    script = "".join(file.read_text() for file in sorted(folder.glob("*.js")))
    for text in (html, css, script):
        assert "//" not in text.replace("// ", "")  # no URL of another server
    for written in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert written not in script
    assert "style=" not in html  # the CSP forbids inline styles
    assert 'for="tweet"' in html


def test_openapi_lists_the_errors(client: TestClient) -> None:
    responses = client.get("/openapi.json").json()["paths"]["/v1/classify"]["post"]["responses"]
    assert responses.keys() == {
        *("200", "400", "401", "404", "408", "413", "415", "429", "500", "503", "504")
    }


def choices(schema: Any) -> Iterator[list[Any]]:
    """Yield the values of every enumeration in an OpenAPI schema."""
    if isinstance(schema, dict):
        yield from [schema["enum"]] if "enum" in schema else []
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from choices(part)


def test_enum_values_differ_by_more_than_case(client: TestClient) -> None:
    """Generators make an upper-case constant per value: openapi-python-client fails if two differ only in
    case."""
    description = client.get("/openapi.json").json()
    assert client.get("/v1/openapi").json() == description
    for values in choices(description):
        names = [str(value).upper() for value in values]
        assert len(set(names)) == len(names), values
    for direction in ("Right", "right", None):
        body = {"inputs": "a", "truncation_direction": direction}
        assert client.post("/predict", json=body).status_code == 200


def test_api_imports_neither_ray_nor_torch() -> None:
    program = "import sys, serve.api; print({'ray', 'torch'} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=ENV, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
