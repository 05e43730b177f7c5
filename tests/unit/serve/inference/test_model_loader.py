"""Loading, probing and warming up models from a registry."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from serve.inference import model_loader
from tests.support.checkpoints import checkpoint
from tests.support.fakes import card
from tweetelm import precision, registry
from tweetelm.encoding import Encoded
from tweetelm.openelm.packing import few_sizes
from tweetelm.predictor import Predictor
from tweetelm.tasks import DEEPFAKE


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "models")


def publish(url: str, folder: Path, validation: float = 0.5) -> str:
    return registry.publish(folder, card(validation), registry=url).version


def load(url: str, **versions: str) -> dict[str, model_loader.Loaded]:
    return model_loader.load(["hate"], url=url, versions=versions, device="cpu", precision="auto", loaded={})


@pytest.fixture
def bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat small models as large, and every processor as one with bfloat16 instructions."""
    monkeypatch.setattr(precision, "LARGE", 0)
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)


def test_large_model_is_served_in_bf16_if_it_agrees(
    url: str, tmp_path: Path, bf16: None, caplog: pytest.LogCaptureFixture
) -> None:
    publish(url, checkpoint(tmp_path / "checkpoint", head=1.0))
    assert load(url)["hate"].predictor.precision == "bf16"
    assert not caplog.records


def test_bf16_mismatch_falls_back_to_float32(
    url: str, tmp_path: Path, bf16: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_loader, "MAX_BF16_DIFFERENCE", 1e-6)  # rounding errors exceed it
    publish(url, checkpoint(tmp_path / "checkpoint", head=15.0))
    assert load(url)["hate"].predictor.precision == "float32"
    assert "serving float32" in caplog.text


def test_warm_up_covers_every_row_size(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: set[int] = set()
    monkeypatch.setattr(Predictor, "logits", spied(Predictor.logits, rows))
    publish(url, checkpoint(tmp_path / "checkpoint", max_tokens=150))
    load(url)
    assert rows >= {few_sizes(number) for number in range(1, 151)}


def spied(logits: Callable[..., Tensor], rows: set[int]) -> Callable[..., Tensor]:
    """Wrap `Predictor.logits` to record the row sizes in `rows`."""

    def kept(predictor: Predictor, encoded: Sequence[Encoded], owners: object = None) -> Tensor:
        rows.add(few_sizes(sum(len(text.ids) for text in encoded)))
        return logits(predictor, encoded, owners)

    return kept


def test_reload_loads_only_changed_versions(url: str, tmp_path: Path) -> None:
    first = publish(url, checkpoint(tmp_path / "first", seed=1), 0.1)
    loaded = load(url)
    again = model_loader.load(["hate"], url=url, versions={}, device="cpu", precision="auto", loaded=loaded)
    assert again["hate"] is loaded["hate"]
    second = publish(url, checkpoint(tmp_path / "second", seed=2), 0.2)
    assert model_loader.published(["hate"], url=url) == {"hate": second}
    assert model_loader.last_good(["hate"], url=url) == [{}, {"hate": first}]
    swapped = model_loader.load(["hate"], url=url, versions={}, device="cpu", precision="auto", loaded=loaded)
    assert swapped["hate"].predictor.version == second


def test_version_of_another_task_is_rejected(url: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "checkpoint", DEEPFAKE)
    version = publish(url, checkpoint(tmp_path / "hate"))
    folder_of_version = Path(url) / "hate" / "versions" / version
    with pytest.raises(ValueError, match=r"holds a deepfake model; expected a hate model"):
        model_loader._load("hate", folder, "cpu", "auto")
    assert json.loads((folder_of_version / "card.json").read_text())["task"] == "hate"


def test_non_finite_weights_fail_the_probe(url: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "checkpoint")
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"] = weights["score.weight"] * float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    publish(url, folder)
    with pytest.raises(ValueError, match=r"not finite .*score.weight"):
        load(url)


def test_missing_version_and_unknown_task_are_errors(url: str, tmp_path: Path) -> None:
    publish(url, checkpoint(tmp_path / "checkpoint"))
    with pytest.raises(FileNotFoundError, match="20200101-000000"):
        load(url, hate="20200101-000000")
    with pytest.raises(ValueError, match="deepfake; expected only hate"):
        load(url, deepfake="20200101-000000")


def test_loading_leaves_the_number_of_threads(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine makes the passes of the warm-up use one thread, and a new thread starts with the last
    number of any."""
    publish(url, checkpoint(tmp_path / "checkpoint"))
    monkeypatch.setattr("tweetelm.forward.fit_threads", lambda: torch.set_num_threads(1))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        load(url)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
