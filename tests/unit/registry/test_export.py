"""An exported version loads with transformers and with `Predictor`."""

import builtins
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerFast, pipeline

from tests.support.checkpoints import LINES, as_version, checkpoint, edit_json
from tests.support.fakes import card
from tweetelm.predictor import Predictor
from tweetelm.registry import publish, resolve
from tweetelm.registry.download import export
from tweetelm.registry.store import open_store
from tweetelm.registry.versions import read_card


def test_export_agrees_in_predictor_and_pipeline(tmp_path: Path) -> None:
    place, out = str(tmp_path / "models"), tmp_path / "out"
    made = card(temperature=2.5)
    version = publish(checkpoint(tmp_path / "run", max_tokens=64), made, registry=place).version
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


def test_temperature_is_applied_once(tmp_path: Path) -> None:
    place = str(tmp_path / "models")
    folder = checkpoint(tmp_path / "run", max_tokens=64)
    plain = Predictor.load(folder, device="cpu")
    publish(folder, card(temperature=2.5), registry=place)
    published = Predictor.load(resolve("hate", registry=place), device="cpu")
    encoded = plain.encode(LINES)
    assert torch.equal(published.logits(encoded), plain.logits(encoded))
    expected = (plain.logits(encoded) / 2.5).softmax(-1).tolist()
    found = [prediction.probabilities for prediction in published.predict(LINES)]
    assert found == [pytest.approx(row) for row in expected]


def test_a_version_of_before_is_read_with_its_cards_temperature(tmp_path: Path) -> None:
    folder = as_version(checkpoint(tmp_path / "old", max_tokens=64), temperature=2.5)
    edit_json(folder / "config.json", classifier_temperature=None)
    assert Predictor.load(folder, device="cpu").temperature == 2.5


def test_the_tokenizer_of_a_version_needs_no_code_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint(tmp_path / "run", max_tokens=64)

    def ask(question: str = "") -> str:
        raise AssertionError(question)

    monkeypatch.setattr(builtins, "input", ask)
    expected = Predictor.load(folder, device="cpu").encode(LINES)
    for tokenizer in (
        AutoTokenizer.from_pretrained(folder, trust_remote_code=False),
        PreTrainedTokenizerFast.from_pretrained(folder),
    ):
        assert tokenizer(LINES).input_ids == [list(item.ids) for item in expected]
