"""The table and the plot of quality against cost, for small models on the embedded sample."""

import sys
from pathlib import Path

import pytest
import torch

from benchmarks import bench_frontier
from benchmarks.bench_frontier import dollars, parse_models
from tests.support.checkpoints import checkpoint
from tweetelm.tasks import HATE


def test_price_of_a_billion_tweets() -> None:
    assert dollars(1e9 / 3600, 0.04) == pytest.approx(0.04)


def test_model_without_a_folder_is_refused(tmp_path: Path) -> None:
    for entry in ("name", f"name={tmp_path}/no*"):
        with pytest.raises(SystemExit, match="expected NAME=FOLDER"):
            parse_models([entry], HATE)
    with pytest.raises(SystemExit, match="neither a model nor a run"):
        parse_models([f"name={tmp_path}"], HATE)


@pytest.mark.slow
def test_every_model_has_a_line_and_a_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(2):
        checkpoint(tmp_path / f"tiny-seed{seed}", HATE, seed=seed, head=1.0)
    out, threads = tmp_path / "frontier.md", torch.get_num_threads()
    words = ["--task", "hate", "--data", "sample", "--rounds", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["bench_frontier", *words, "--model", f"tiny={tmp_path}/tiny-seed*"])
    bench_frontier.main()
    torch.set_num_threads(threads)
    rows = [line.split(" | ") for line in out.read_text().splitlines() if line.startswith("| ")]
    names = [row[0].removeprefix("| ") for row in rows]
    assert names == ["model", "TF-IDF, logistic regression", "tiny", "tiny", "tiny"]
    assert [row[1] for row in rows[2:]] == ["float32", "bf16", "int8"]
    assert "±" in rows[2][3]  # two seeds
    assert float(rows[1][-1].rstrip(" |").replace(",", "")) > 0
    picture = out.with_suffix(".svg").read_text()
    assert "tiny" in picture
    assert "tweets/s per core" in picture
