"""A served task of one's own with three labels, in every protocol."""

import dataclasses
import json
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from serve.api import create_api
from serve.inference.engine import Engine
from tests.support.fake_predictor import FakePredictor, card, classify
from tweetelm.tasks import HATE

STANCE = dataclasses.replace(
    HATE,
    name="stance",
    question="Which side does this tweet take?",
    labels=("none", "against", "favor"),
    metric="mean_f1:against,favor",
    suite=None,
    moderation=(("against", "harassment"),),
    published=(),
)
TEXT = "a 1 1 2 0"  # P: none 1/4, against 2/4, favor 1/4


@pytest.fixture
def client() -> Iterator[TestClient]:
    about = card("hate", init="scratch", synthetic=False) | {"task": "stance", "labels": list(STANCE.labels)}
    stance = FakePredictor(STANCE, card=about)
    hate = FakePredictor("hate", card=card("hate", init="pretrained", synthetic=False))
    engine = Engine({"stance": stance, "hate": hate})  # type: ignore[dict-item]
    with TestClient(create_api(engine)) as client:
        yield client


def test_classify_gives_all_probabilities(client: TestClient) -> None:
    (found,) = classify(client, model="stance", input=TEXT)["data"]
    assert (found["label"], found["probs"]) == ("against", [0.25, 0.5, 0.25])


def test_hugging_face_and_tei_give_all_labels(client: TestClient) -> None:
    (found,) = client.post("/models/stance", json={"inputs": TEXT}).json()
    assert next((one["label"], one["score"]) for one in found) == ("against", 0.5)
    assert {one["label"] for one in found} == set(STANCE.labels)
    found = client.post("/predict", json={"inputs": TEXT}).json()
    assert next(one["label"] for one in found) == "against"
    assert len(found) == 3


def test_words_push_toward_the_predicted_label(client: TestClient) -> None:
    answer = client.post("/v1/words", json={"model": "stance", "input": TEXT}).json()
    assert (answer["label"], answer["toward"]) == ("against", "against")
    pushes = {word["text"]: word["push"] for word in answer["words"]}
    assert pushes["1"] > 0 > pushes["2"]
    assert client.post("/v1/words", json={"model": "hate", "input": "a! b"}).json()["toward"] == "hate"


def test_file_rows_have_label_and_probabilities(client: TestClient) -> None:
    body = json.dumps({"text": TEXT}) + "\n"
    headers = {"Content-Type": "application/x-ndjson"}
    answer = client.post("/v1/classify/file?model=stance", content=body, headers=headers)
    first = json.loads(answer.text.splitlines()[0])
    assert (first["label"], first["probs"]) == ("against", [0.25, 0.5, 0.25])


def test_moderations_use_the_mapping_of_each_task(client: TestClient) -> None:
    body = client.post("/v1/moderations", json={"input": [TEXT, "a !!!"]}).json()
    assert body["model"] == "tweetelm-stance"
    first, second = body["results"]
    assert first["flagged"]
    assert (first["category_scores"]["harassment"], first["categories"]["harassment"]) == (0.5, True)
    assert (first["category_scores"]["hate"], first["categories"]["hate"]) == (0.0, False)
    assert first["category_applied_input_types"]["hate"] == ["text"]
    assert first["category_applied_input_types"]["violence"] == []
    assert (second["categories"]["hate"], second["category_scores"]["hate"]) == (True, 0.6)


def test_moderations_of_one_task_leave_the_others_out(client: TestClient) -> None:
    body = client.post("/v1/moderations", json={"input": "a !!!", "model": "tweetelm-stance"}).json()
    (found,) = body["results"]
    assert (body["model"], found["categories"]["hate"]) == ("tweetelm-stance", False)
    assert found["category_applied_input_types"]["hate"] == []


def test_info_describes_the_task(client: TestClient) -> None:
    about = client.get("/info").json()["models"]["stance"]
    assert (about["question"], about["labels"]) == (STANCE.question, list(STANCE.labels))
