"""`ray_jobs.reproduce` with checkpoints in Apple's layout from a local hub: search, seeds, results table."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hub import Hub
from tests.support.places import ROOT
from tests.support.ray_head import Cluster
from tests.unit.openelm.test_hub import official, tensors, tokenizer

pytestmark = [pytest.mark.ray, pytest.mark.slow]
SIZES = ("tiny/OpenELM-A", "tiny/OpenELM-B")
DATA = (
    "data" if (ROOT / "data" / "hate").is_dir() else "sample"
)  # the real data, if it was downloaded by `make data`


def real(cluster: Cluster, hub: Hub, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "tokenizer.json").write_bytes(tokenizer())
    (folder / "tokenizer_config.json").write_text('{"bos_token": "<s>"}')
    line = [sys.executable, "-m", "ray_jobs.reproduce", "--tasks", "hate", "--sizes", *SIZES, *more]
    line += ["--tokenizer", str(folder / "tokenizer.json"), "--trials", "2", "--seeds", "2"]
    line += ["--data.root", DATA, "--data.limit", "100", "--max-tokens", "64", "--tracking.wandb", "off"]
    line += ["--run.storage", str(folder / "runs"), "--run.registry", str(folder / "models")]
    line += ["--out", str(folder / "results.md")]
    path = f"{ROOT}:{ROOT / 'src'}"
    environment = {**os.environ, **cluster.env, "RAY_ADDRESS": cluster.address, "PYTHONPATH": path}
    environment |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hub"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run(
        line, env=environment, cwd=ROOT, text=True, capture_output=True, timeout=540, check=False
    )


def test_reproduce_from_hub_to_results_table(cluster: Cluster, tmp_path: Path) -> None:
    hub = Hub()
    commits = [hub.commit(SIZES[0], official()), hub.commit(SIZES[1], official(tensors(0.5)))]
    try:
        first = real(cluster, hub, tmp_path)
        assert first.returncode == 0, first.stdout + first.stderr
        for size, commit in zip(SIZES, commits, strict=True):
            assert f"{size} at {commit}" in first.stdout
        page = (tmp_path / "results.md").read_text(encoding="utf-8")
        assert all(size in page for size in SIZES)
        assert "BERTweet" in page
        assert ("synthetic sample: says nothing about tweets" in page) == (DATA == "sample")
        again = real(cluster, hub, tmp_path)
        assert "already finished" in again.stdout, again.stdout + again.stderr
        assert (tmp_path / "results.md").read_text(encoding="utf-8") == page
    finally:
        hub.close()
