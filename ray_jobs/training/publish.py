"""Evaluates the best checkpoint on validation and test, and publishes it."""

import json
from dataclasses import asdict
from typing import Any

from ray_jobs.cluster.connect import Resources
from ray_jobs.run_dir import FINISHED_FILE, Finished
from ray_jobs.training.accelerator_task import run_there, task_options
from ray_jobs.training.launcher import Outcome
from tweetelm.config.train_config import TrainConfig
from tweetelm.data import hold_out, load
from tweetelm.files import object_storage
from tweetelm.registry.base_model import base_of
from tweetelm.registry.code_version import Git


def evaluate_and_publish(
    config: TrainConfig, outcome: Outcome, resources: Resources, git: Git | None
) -> Finished:
    """Evaluate the best checkpoint where the accelerator is, publish it, and write finished.json."""
    from tweetelm.evaluation.rivals import teacher_as_rival  # takes a second: metrics

    options, threads = task_options(config, resources)
    dataset = hold_out(load(config.task, config.data.root), config.data.hold_out)
    provenance = outcome.prepared.provenance
    arguments = {
        "checkpoint": outcome.checkpoint,
        "dataset": dataset,
        "provenance": provenance,
        "rival": teacher_as_rival(config, provenance.md5, len(dataset["test"])),
        "base": base_of(config, outcome.prepared),
        "git": git,
        "registry": config.run.registry_folder,
        "threads": threads,
    }
    finished = run_there(_evaluate_remotely, options, config, arguments)
    document = json.dumps(asdict(finished), indent=2) + "\n"
    object_storage.write(f"{config.folder}/{FINISHED_FILE}", document.encode())
    return finished


def _evaluate_remotely(config: TrainConfig, arguments: dict[str, Any]) -> Finished:
    from ray_jobs.training.evaluation_task import evaluate_checkpoint  # takes seconds: plots, metrics

    return evaluate_checkpoint(config, **arguments)
