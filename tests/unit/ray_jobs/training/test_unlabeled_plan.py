"""Unlabeled tweets of a training command: refusals and the plan, without Ray's processes."""

import dataclasses
from pathlib import Path

import pytest
import torch

from ray_jobs.cluster.connect import Resources
from ray_jobs.training.estimate import describe_plan, estimate
from ray_jobs.training.preflight import check_unlabeled
from tweetelm.config.overrides import override
from tweetelm.config.train_config import TrainConfig
from tweetelm.training.prepare import Prepared, prepare


def configuration(file: Path) -> TrainConfig:
    values = {"data.root": "sample", "model.name": "scratch-1m", "model.layers": 2, "loop.average": 0.5}
    return override(TrainConfig(task="hate"), {**values, "pretrain.epochs": 2, "pretrain.text": (str(file),)})


def prepared(file: Path, *tweets: str) -> Prepared:
    file.write_text("\n".join(tweets))
    return prepare(configuration(file))


def test_a_run_refuses_to_resume_with_other_tweets(tmp_path: Path) -> None:
    file, folder = tmp_path / "more.txt", f"{tmp_path}/runs/mine"
    first = prepared(file, "a tweet of nobody").provenance
    check_unlabeled(folder, first)
    check_unlabeled(folder, first)
    other = prepared(file, "a tweet of nobody", "one more").provenance
    with pytest.raises(ValueError, match=r"more\.txt\) have other contents than when .* began; rest"):
        check_unlabeled(folder, other)
    check_unlabeled(f"{tmp_path}/runs/other", other)


def test_without_unlabeled_tweets_nothing_is_written(tmp_path: Path) -> None:
    found = prepared(tmp_path / "more.txt", "a tweet of nobody").provenance
    check_unlabeled(f"{tmp_path}/run", dataclasses.replace(found, unlabeled=None))
    assert not (tmp_path / "run").exists()


def test_the_estimate_counts_them_in_language_modeling_only(tmp_path: Path) -> None:
    file, cpu = tmp_path / "more.txt", torch.device("cpu")
    found = prepared(file, *(f"tweet {number} of nobody" for number in range(50)))
    assert found.unlabeled is not None
    config, without = configuration(file), dataclasses.replace(found, unlabeled=None)
    ours, theirs = (estimate(config, each, cpu, 1e12) for each in (found, without))
    assert ours.tokens - theirs.tokens == 2 * sum(found.unlabeled.lengths)
    assert ours.flop > theirs.flop


def test_the_plan_tells_layers_averaging_and_tweets(tmp_path: Path) -> None:
    file = tmp_path / "more.txt"
    resources = Resources(cpus=2, gpus=0, local=True)
    text = describe_plan(configuration(file), prepared(file, "", "a tweet of nobody"), resources)
    assert "the first 2 layers of scratch-1m, " in text
    assert "1 unlabeled tweets (1 empty left out)" in text
    assert "3 of classification, weights averaged over the last 50% of steps" in text
