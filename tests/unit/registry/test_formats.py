"""Exports to other formats: the same probabilities for any batch and length, or no export."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tests.support.checkpoints import LINES, checkpoint
from tests.support.fakes import card
from tweetelm.predictor import Predictor
from tweetelm.registry import publish, read_card, resolve
from tweetelm.registry.exports import formats, graph
from tweetelm.registry.store import open_store

pytestmark = pytest.mark.slow

ONNX = pytest.param("onnx", marks=pytest.mark.slow)  # seconds per export
FORMATS = ["tweetelm", "transformers", "torch_export", ONNX]


@pytest.fixture(scope="module", params=["last", pytest.param("mean", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry with one version, with a temperature; the head's size makes probabilities differ."""
    folder = tmp_path_factory.mktemp("registry")
    run = checkpoint(folder / "run", max_tokens=48, classifier_pooling=request.param)
    publish(run, card(temperature=2.5), registry=str(folder / "models"))
    return str(folder / "models")


def export(form: Any, place: str, target: Path) -> Path:
    if form == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    error = formats.export_as(form, open_store(place), read_card("hate", registry=place), target)
    assert error <= 1e-5
    return target


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_agrees_with_predictor(form: str, place: str, tmp_path: Path) -> None:
    out = export(form, place, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(FileExistsError, match="exports do not overwrite"):
        export(form, place, tmp_path / "out")
    if form in ("tweetelm", "transformers"):
        assert {p.name for p in out.iterdir()} == {*read_card("hate", registry=place).files, "card.json"}


@pytest.mark.parametrize(
    ("form", "file"),
    [("torch_export", "model.pt2"), pytest.param("onnx", "model.onnx", marks=pytest.mark.slow)],
)
def test_a_graph_runs_without_tweetelm(form: str, file: str, place: str, tmp_path: Path) -> None:
    out = export(form, place, tmp_path / "out")
    settings = json.loads((out / "export.json").read_text())
    assert settings["labels"] == ["not-hate", "hate"]
    assert settings["inputs"] == ["input_ids", "attention_mask"]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(out)
    tokenizer.pad_token = tokenizer.bos_token or tokenizer.convert_ids_to_tokens(0)
    run: Any
    if form == "torch_export":
        run = torch.export.load(out / "model.pt2").module()
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession(out / "model.onnx")

        def run(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            (found,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
            return torch.from_numpy(found)

    predictor = Predictor.load(resolve("hate", registry=place), device="cpu", precision="float32")
    for texts in (LINES, LINES[:1], LINES[:3], LINES * 5):
        batch = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
        found = run(batch.input_ids, batch.attention_mask)
        for row, prediction in zip(found.tolist(), predictor.predict(texts), strict=True):
            assert row == pytest.approx(prediction.probabilities, abs=1e-5)


@pytest.mark.parametrize("form", ["tweetelm"])
def test_a_wrong_export_is_not_kept(
    form: Any, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "TOLERANCE", -1.0)
    with pytest.raises(ValueError, match=rf"the {form} export differ .* was not written"):
        export(form, place, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_check_sees_a_forgotten_temperature(place: str) -> None:
    folder = resolve("hate", registry=place)
    predictor = Predictor.load(folder, device="cpu", precision="float32")
    run = graph.padded_classifier(folder, 1.0)

    def answer(texts: Any) -> torch.Tensor:
        with torch.no_grad():
            return run(*graph.pad(predictor.encode(texts)))

    assert formats.largest_difference(answer, predictor) > 0.01


def test_missing_onnx_packages_are_named(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ValueError, match=r"needs .*onnxscript; .*pip install 'tweetelm\[onnx\]'"):
        formats.export_as("onnx", open_store(place), read_card("hate", registry=place), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_probes_have_many_lengths(place: str) -> None:
    predictor = Predictor.load(resolve("hate", registry=place), device="cpu")
    found = predictor.encode(formats.PROBES)
    assert len({len(each.ids) for each in found}) >= 6
    assert found[-1].truncated
