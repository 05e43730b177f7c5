"""HTTP responses equal the predictions of `Predictor`, in bfloat16 and float32."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serve.api import create_api
from serve.inference.engine import Engine
from tests.support.checkpoints import checkpoint
from tests.support.tweets import portions, thousand_tweets
from tweetelm.predictor import Predictor


@pytest.mark.parametrize(("precision", "distance"), [("float32", 1e-5), ("bf16", 1e-2)])
def test_http_matches_predictor_on_1000_tweets(tmp_path: Path, precision: str, distance: float) -> None:
    folder = checkpoint(tmp_path / "hate", head=2.0)
    texts = list(thousand_tweets()["text"])
    expected = [
        item.probabilities
        for item in Predictor.load(folder, device="cpu", precision="float32").predict(texts)
    ]
    served = Predictor.load(folder, device="cpu", precision=precision)  # type: ignore[arg-type]
    assert served.precision == precision
    with TestClient(create_api(Engine({"hate": served}))) as client:
        answers = [
            client.post("/v1/classify", json={"input": portion}).json()["data"] for portion in portions(texts)
        ]
    found = [item["probs"] for answer in answers for item in answer]
    assert len(found) == len(texts)
    for probs, probabilities in zip(found, expected, strict=True):
        assert probs == pytest.approx(probabilities, abs=distance)
