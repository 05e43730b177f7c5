"""An exported version is a model for whoever has transformers, and for Predictor."""

from pathlib import Path

import pytest
from transformers import pipeline

from tests.checkpoints import LINES, checkpoint
from tests.fakes import card
from tweetelm.predictor import Predictor
from tweetelm.registry import publish, resolve
from tweetelm.registry.local import export
from tweetelm.registry.store import open_store
from tweetelm.registry.versions import read_card


def test_an_export_gives_the_same_probabilities_by_predictor_and_by_pipeline(tmp_path: Path) -> None:
    place, out = str(tmp_path / "models"), tmp_path / "out"
    version = publish(checkpoint(tmp_path / "run", max_tokens=64), card(), registry=place).version
    export(open_store(place), f"hate/versions/{version}", read_card("hate", registry=place), out)
    published = Predictor.load(resolve("hate", registry=place), device="cpu").predict(LINES)
    exported = Predictor.load(out, device="cpu")
    assert exported.version == version
    classify = pipeline("text-classification", model=str(out), top_k=None)
    for ours, again, found in zip(published, exported.predict(LINES), classify(LINES), strict=True):
        assert again == ours
        theirs = {each["label"]: each["score"] for each in found}
        expected = dict(zip(exported.labels, ours.probabilities, strict=True))
        assert theirs == pytest.approx(expected, abs=1e-5)
