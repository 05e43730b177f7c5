"""`tweetelm.fine_tune` gives the weights of a Ray Train run with one worker."""

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import tweetelm
from ray_jobs.cluster.connect import Resources
from ray_jobs.training.launcher import run
from tests.support.ray_head import Cluster
from tweetelm.api.fine_tune import configuration
from tweetelm.config.train_config import RunConfig, TrackingConfig
from tweetelm.training.prepare import prepare

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_fine_tune_gives_the_weights_of_one_ray_worker(driver: Cluster, tmp_path: Path) -> None:
    settings = {"root": "sample", "limit": 200, "epochs": 2, "batch_tokens": 640, "max_tokens": 64}
    place = RunConfig(workers=1, cpus=1, storage=str(tmp_path / "runs"), registry=str(tmp_path / "models"))
    config = dataclasses.replace(
        configuration("hate", "scratch-1m", settings), run=place, tracking=TrackingConfig(wandb="off")
    )
    outcome = run(config, Resources(cpus=2, gpus=0, local=True), prepare(config))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the worker: sums of other parts round differently
    try:
        result = tweetelm.fine_tune(
            "hate", folder=tmp_path / "here", device="cpu", progress=False, **settings
        )
    finally:
        torch.set_num_threads(threads)
    theirs = load_file(Path(outcome.checkpoint) / "model.safetensors")
    ours = load_file(result.folder / "checkpoint" / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
