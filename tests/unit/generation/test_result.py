"""What a generation writes: a row says which weights wrote it, from which prompt."""

import csv
import json
from collections import Counter
from pathlib import Path

from tweetelm.data.part import read_manifest
from tweetelm.generation.filters import Outcome, Row
from tweetelm.generation.request import Answer, Request
from tweetelm.generation.result import write_result

REQUEST = Request(
    id="p1", strategy="topic", temperature=0.9, seed=7, system="s", user="u", imitated="ann", sources=(3, 5)
)
SETTINGS = {"task": "deepfake", "data": "x.dir", "strategies": ["topic"], "temperatures": [0.9], "seed": 0}


def test_row_names_weights_prompt_and_sampling(tmp_path: Path) -> None:
    outcome = Outcome(
        rows=[Row(text='a "b"; c', request=REQUEST)],
        rejected=Counter({"empty": 1}),
        by_strategy={"topic": Counter({"kept": 1, "empty": 1})},
        answers=2,
    )
    answers = {"p1": Answer(id="p1", text="a", prompt_tokens=30, completion_tokens=4)}
    generator = {"name": "small", "sha256": "ab" * 32, "license": "mit"}
    write_result(tmp_path, outcome, answers, SETTINGS, label="bot", generator=generator)
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file, delimiter=";")
    assert row == {
        "screen_name": "small",
        "text": 'a "b"; c',
        "account.type": "bot",
        "class_type": "small",
        "prompt_id": "p1",
        "strategy": "topic",
        "temperature": "0.9",
        "seed": "7",
        "imitated": "ann",
        "sources": "3 5",
        "weights": "abababababab",
    }
    manifest = read_manifest(tmp_path)
    assert manifest["counts"]["rejected"]["empty"] == 1
    assert json.loads((tmp_path / "manifest.json").read_text())["generator"] == generator
    card = (tmp_path / "README.md").read_text()
    assert "| topic | 1 | 2 |" in card
    assert f"weights {'ab' * 32}, license mit" in card
