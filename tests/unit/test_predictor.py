"""Inference: predictions do not depend on the batch and equal those of transformers."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import tweetelm.openelm  # noqa: F401  # registers the classes that AutoModel finds
from tests.support.checkpoints import TWEETS, as_version, checkpoint, edit_json
from tweetelm.encoding import Encoded
from tweetelm.predictor import Prediction, Predictor
from tweetelm.tasks import DEEPFAKE, HATE
from tweetelm.text.normalize import normalize


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return Predictor.load(folder, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def alone(predictor: Predictor) -> list[Prediction]:
    """Classify each tweet in its own pass."""
    return [predictor.predict([text])[0] for text in TWEETS]


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "version")


def same(ours: list[Prediction], theirs: list[Prediction], tolerance: float = 1e-5) -> bool:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.probabilities == pytest.approx(b.probabilities, abs=tolerance)
        assert (a.label, a.tokens, a.truncated) == (b.label, b.tokens, b.truncated)
    return True


def test_predictions_differ_between_tweets(alone: list[Prediction]) -> None:
    positive = [prediction.probabilities[1] for prediction in alone]
    assert max(positive) - min(positive) > 0.2
    assert {prediction.label for prediction in alone} == set(HATE.labels)


def test_prediction_has_probabilities_in_task_order(alone: list[Prediction]) -> None:
    for prediction in alone:
        assert sum(prediction.probabilities) == pytest.approx(1.0, abs=1e-6)
        assert prediction.label == HATE.labels[prediction.probabilities[1] > prediction.probabilities[0]]
    assert (alone[0].tokens, alone[0].truncated) == (1, False)
    assert (alone[5].tokens, alone[5].truncated) == (24, True)


@given(order=st.permutations(range(len(TWEETS))))
def test_order_and_company_do_not_matter(
    predictor: Predictor, alone: list[Prediction], order: list[int]
) -> None:
    shuffled = predictor.predict([TWEETS[i] for i in order])
    assert same(shuffled, [alone[i] for i in order])


@pytest.mark.parametrize("budget", [1, 7, 30, 100_000])
def test_the_size_of_batches_does_not_matter(
    predictor: Predictor, alone: list[Prediction], budget: int
) -> None:
    assert same(dataclasses.replace(predictor, batch_tokens=budget).predict(TWEETS), alone)


def test_a_subset_does_not_matter(predictor: Predictor, alone: list[Prediction]) -> None:
    choose = random.Random(0)
    for _ in range(10):
        rows = choose.choices(range(len(TWEETS)), k=choose.randint(1, 12))
        assert same(predictor.predict([TWEETS[i] for i in rows]), [alone[i] for i in rows])


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_transformers_padded_forward_gives_the_same(tmp_path: Path, pooling: str, side: str) -> None:
    folder = checkpoint(tmp_path, classifier_pooling=pooling)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side=side)
    texts = [normalize(text) for text in TWEETS]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, truncation=True)
    assert inputs["input_ids"].shape == (len(TWEETS), 24)
    with torch.no_grad():
        theirs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
    predictor = Predictor.load(folder, device="cpu", precision="float32")
    ours = predictor.logits(predictor.encode(TWEETS))
    assert ours.dtype == torch.float32
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_bfloat16_probabilities_agree_to_two_hundredths(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, head=5.0)
    full, half = (Predictor.load(folder, device="cpu", precision=p) for p in ("float32", "bf16"))
    encoded = full.encode(TWEETS)
    error = (half.logits(encoded) - full.logits(encoded)).norm() / full.logits(encoded).norm()
    assert 1e-4 < error < 3e-2  # the error of 8 significant bits: bfloat16 is in use
    for ours, theirs in zip(half.classify(encoded), full.classify(encoded), strict=True):
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=2e-2)


def test_in_bfloat16_the_classifier_stays_in_float32(folder: Path) -> None:
    half = Predictor.load(folder, device="cpu", precision="bf16")
    assert half.model.transformer.token_embeddings.weight.dtype == torch.bfloat16
    assert half.model.score.weight.dtype == torch.float32


def test_a_small_model_runs_in_float32_by_default(folder: Path) -> None:
    weights = Predictor.load(folder, device="cpu").model.parameters()
    assert {weight.dtype for weight in weights} == {torch.float32}


def test_a_model_is_loaded_for_inference(predictor: Predictor) -> None:
    assert not predictor.model.training
    assert not predictor.logits([Encoded((1, 5), False)]).requires_grad


def test_the_same_weights_can_read_texts_in_another_way(
    predictor: Predictor, alone: list[Prediction]
) -> None:
    disguised = TWEETS[2].replace("e", "e\u200b")
    defended = predictor.with_text(dataclasses.replace(predictor.text, defend=True))
    assert defended.model is predictor.model
    assert same(defended.predict([disguised]), [alone[2]])
    assert abs(predictor.predict([disguised])[0].probabilities[1] - alone[2].probabilities[1]) > 1e-3


def test_no_texts_give_no_predictions(predictor: Predictor) -> None:
    assert predictor.predict([]) == []
    assert predictor.classify([]) == []


def test_checkpoint_without_card_has_no_version(predictor: Predictor) -> None:
    assert (predictor.version, predictor.threshold, predictor.temperature) == ("", None, 1.0)
    assert predictor.card is None
    assert predictor.labels == HATE.labels


def test_a_card_gives_version_threshold_and_temperature(version: Path, alone: list[Prediction]) -> None:
    loaded = Predictor.load(as_version(version, temperature=2.0, threshold=0.6), device="cpu")
    assert (loaded.version, loaded.threshold, loaded.temperature) == ("20261121-abc123", 0.6, 2.0)
    assert loaded.card is not None
    assert loaded.card["base"]["name"] == "openelm-270m"
    for ours, plain in zip(loaded.predict(TWEETS), alone, strict=True):
        odds = torch.tensor(plain.probabilities).log() / 2.0
        assert ours.probabilities == pytest.approx(odds.softmax(-1).tolist(), abs=1e-5)
        assert ours.label == HATE.labels[ours.probabilities[1] >= 0.6]


def test_the_positive_label_is_told_from_the_threshold_on(version: Path, alone: list[Prediction]) -> None:
    reached = alone[2].probabilities[1]
    loaded = Predictor.load(as_version(version, threshold=reached), device="cpu")
    assert loaded.classify(loaded.encode(TWEETS[2:3]))[0].label == HATE.positive
    for threshold, label in ((0.0, HATE.positive), (1.0, HATE.labels[0])):
        loaded = Predictor.load(as_version(version, threshold=threshold), device="cpu")
        assert {prediction.label for prediction in loaded.predict(TWEETS)} == {label}


def test_a_folder_of_another_task_knows_its_labels(tmp_path: Path) -> None:
    loaded = Predictor.load(checkpoint(tmp_path, DEEPFAKE), device="cpu")
    assert loaded.task is DEEPFAKE
    assert {prediction.label for prediction in loaded.predict(TWEETS)} <= {"human", "bot"}


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "encoding.json"])
def test_a_missing_file_is_named(version: Path, name: str) -> None:
    (version / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        Predictor.load(version, device="cpu")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path}/none/encoding.json does not exist; exp"):
        Predictor.load(tmp_path / "none")


def test_files_of_two_checkpoints_are_refused(version: Path, tmp_path: Path) -> None:
    other = checkpoint(tmp_path / "other", DEEPFAKE)
    (version / "encoding.json").write_bytes((other / "encoding.json").read_bytes())
    with pytest.raises(
        ValueError, match=r"has labels \('not-hate', 'hate'\), .* \('human', 'bot'\): the files"
    ):
        Predictor.load(version, device="cpu")


def test_labels_in_another_order_are_refused(version: Path) -> None:
    edit_json(version / "config.json", id2label={"0": "hate", "1": "not-hate"}, label2id=None)
    with pytest.raises(ValueError, match=r"has labels \('hate', 'not-hate'\)"):
        Predictor.load(version, device="cpu")


def test_tokenizer_larger_than_embeddings_is_rejected(version: Path) -> None:
    values = json.loads((version / "tokenizer.json").read_text())
    values["model"]["vocab"] |= {f"piece{i}": 1000 + i for i in range(99)}
    (version / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"tokenizer.json has \d+ tokens, but the model has only \d+"):
        Predictor.load(version, device="cpu")


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0.0},
        {"temperature": "hot"},
        {"temperature": None},
        {"threshold": 1.5},
        {"version": ""},
    ],
)
def test_a_damaged_card_is_refused(version: Path, changes: dict[str, object]) -> None:
    edit_json(as_version(version, threshold=0.5) / "card.json", **changes)
    with pytest.raises(ValueError, match=r"card.json is damaged \(.*download the version again"):
        Predictor.load(version, device="cpu")


def test_a_card_that_is_no_json_is_refused(version: Path) -> None:
    (version / "card.json").write_text("{")
    with pytest.raises(ValueError, match=r"card.json is damaged \(JSONDecodeError"):
        Predictor.load(version, device="cpu")


def test_one_string_is_one_tweet(predictor: Predictor, alone: list[Prediction]) -> None:
    assert same([predictor.predict(TWEETS[0])], alone[:1])


@pytest.mark.parametrize("wrap", [tuple, iter, np.array, pd.Series])
def test_any_collection_of_texts_is_read(predictor: Predictor, alone: list[Prediction], wrap: Any) -> None:
    assert same(predictor.predict(wrap(TWEETS)), alone)


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, 7, b"bytes"])
def test_a_row_that_is_no_text_is_named(predictor: Predictor, missing: Any) -> None:
    column = pd.Series(["a", missing, "c"], index=[10, 20, 30], dtype=object)
    with pytest.raises(ValueError, match=r"row 1 \(counted from 0, index 20\) contains .*dropna"):
        predictor.predict(column)
    with pytest.raises(ValueError, match=r"row 1 \(counted from 0\) contains"):
        predictor.predict(list(column))


@pytest.mark.parametrize("given", [pd.DataFrame({"text": ["a"]}), {"text": "a"}, b"a", 7, None])
def test_what_is_no_list_of_texts_is_refused(predictor: Predictor, given: Any) -> None:
    with pytest.raises(ValueError, match="predict was given a"):
        predictor.predict(given)
