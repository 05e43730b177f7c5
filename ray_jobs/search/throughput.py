"""Inference throughput of each model size of a search, measured where it would be served."""

import statistics
import time
from collections.abc import Mapping

import torch
from transformers.utils.logging import disable_progress_bar

from ray_jobs.cluster.connect import Resources
from ray_jobs.training.accelerator_task import local_copy, run_there, task_options
from tweetelm.config.train_config import TrainConfig
from tweetelm.data import load
from tweetelm.predictor import Predictor

_TWEETS, _ROUNDS = 256, 3


def measure_speeds(
    checkpoints: Mapping[str, tuple[TrainConfig, str]], resources: Resources
) -> dict[str, float]:
    """Measure tweets/s of each size on validation tweets, including tokenization, one size after the other.

    Args:
        checkpoints: By size, a trial's configuration and its checkpoint.
        resources: Resources of the cluster.
    """
    any_config = next(iter(checkpoints.values()))[0]
    options, threads = task_options(any_config, resources)
    texts = load(any_config.task, any_config.data.root)["validation"]["text"][:_TWEETS]
    folders = {size: checkpoint for size, (_, checkpoint) in checkpoints.items()}
    return run_there(_measure, options, folders, texts, threads)


def _measure(checkpoints: dict[str, str], texts: list[str], threads: int) -> dict[str, float]:
    disable_progress_bar()
    torch.set_num_threads(threads)
    return {size: _tweets_per_second(checkpoint, texts) for size, checkpoint in checkpoints.items()}


def _tweets_per_second(checkpoint: str, texts: list[str]) -> float:
    with local_copy(checkpoint) as folder:
        predictor = Predictor.load(folder)
    predictor.predict(texts)
    seconds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        predictor.predict(texts)
        seconds.append(time.perf_counter() - start)
    return len(texts) / statistics.median(seconds)
