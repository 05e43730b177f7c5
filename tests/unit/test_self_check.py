"""int8 is used only if its answers agree with the reference; otherwise a warning names the reason."""

import importlib.util
import math
from pathlib import Path

import pytest

from tests.support.checkpoints import TWEETS, checkpoint
from tweetelm import self_check
from tweetelm.predictor import Predictor
from tweetelm.self_check import Answer, Reference, disagreement

EXPECTED = Reference(["a", "b"], [("x", (0.9, 0.1)), ("y", (0.4, 0.6))], "texts")


def load_int8(folder: Path) -> Predictor:
    return Predictor.load(folder, device="cpu", precision="int8")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([("x", (0.9, 0.1)), ("y", (0.4, 0.6))], ""),
        ([("x", (0.91, 0.09)), ("y", (0.41, 0.59))], ""),
        ([("x", (0.8, 0.2)), ("y", (0.4, 0.6))], "0.0500 mean difference"),
        ([("y", (0.9, 0.1)), ("y", (0.4, 0.6))], "50.0% other verdicts"),
        ([("x", (math.nan, math.nan)), ("y", (0.4, 0.6))], "nan mean difference"),
    ],
)
def test_disagreement_is_measured(answers: list[Answer], reason: str) -> None:
    found = disagreement(lambda texts: answers, EXPECTED)
    assert (reason in found) if reason else (found == "")


def test_int8_is_used_if_it_agrees(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = checkpoint(tmp_path, head=1.0)
    int8 = load_int8(folder)
    assert int8.precision == "int8"
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    exact = Predictor.load(folder, device="cpu", precision="float32")
    for ours, theirs in zip(int8.predict(TWEETS), exact.predict(TWEETS), strict=True):
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=0.05)


def test_disagreeing_int8_falls_back_visibly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_check, "MEAN_DIFFERENCE", 1e-9)  # rounding errors exceed it
    assert load_int8(checkpoint(tmp_path, head=15.0)).precision == "float32"
    assert "computing in float32 instead of int8" in caplog.text
    assert "mean difference" in caplog.text


def test_missing_numba_falls_back_visibly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert load_int8(checkpoint(tmp_path)).precision == "float32"
    assert "pip install numba" in caplog.text
