import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.fakes import BASE, FakeProvenance, card
from tweetelm.config.train_config import TrainConfig
from tweetelm.registry import (
    Card,
    git_state,
    make_card,
)


def test_a_card_survives_json_and_later_fields_are_passed_over() -> None:
    first = card(threshold=0.85, temperature=1.3, files={"config.json": "1" * 64})
    assert Card.from_json(first.to_json()) == first
    assert Card.from_json(json.dumps(json.loads(first.to_json()) | {"later": 1})) == first


@pytest.mark.parametrize("text", ["[]", "{}", '{"task": "hate"}'])
def test_json_that_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a model card: it lacks .*created"):
        Card.from_json(text)


@pytest.mark.parametrize(
    "metrics", [{}, {"test": {"macro_f1": 0.5}}, {"validation": {"macro_f1": float("nan")}}]
)
def test_a_card_needs_the_headline_metric_on_validation(metrics: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"macro_f1 on validation is (None|nan)"):
        make_card(TrainConfig(task="hate"), provenance=FakeProvenance(), base=BASE, metrics=metrics, git=None)


def test_a_card_records_libraries_and_settings() -> None:
    made = card()
    assert made.libraries.keys() >= {"torch", "transformers", "tokenizers", "datasets", "tweetelm", "python"}
    assert made.text == made.config["text"]
    assert made.max_tokens == 256
    assert made.created == "2026-11-21T10:00:00+00:00"


def test_git_state_is_the_commit_and_whether_files_differ(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    (tmp_path / "a").write_text("a")
    git("add", "a")
    git("commit", "-m", "a")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "a").write_text("b")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": True}
    (tmp_path / "unpacked").mkdir()
    assert git_state(tmp_path / "unpacked") is None, "the surrounding checkout contains other code"


def test_without_git_there_is_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(Path(__file__).parent) is None
