"""Evaluates the best checkpoint on validation and test, and publishes it."""

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ray_jobs.cluster.connect import Resources
from ray_jobs.run_dir import FINISHED_FILE, Finished
from ray_jobs.training.accelerator_task import run_there, task_options
from ray_jobs.training.launcher import Outcome
from tweetelm.config.train_config import TrainConfig
from tweetelm.data import hold_out, load
from tweetelm.files import object_storage
from tweetelm.openelm.checkpoints.weight_files import weights_sha256
from tweetelm.registry.card import Base, Git

if TYPE_CHECKING:
    from tweetelm.training.prepare import Prepared


def evaluate_and_publish(
    config: TrainConfig, outcome: Outcome, resources: Resources, git: Git | None
) -> Finished:
    """Evaluate the best checkpoint where the accelerator is, publish it, and write finished.json."""
    options, threads = task_options(config, resources)
    arguments = {
        "checkpoint": outcome.checkpoint,
        "dataset": hold_out(load(config.task, config.data.root), config.data.hold_out),
        "provenance": outcome.prepared.provenance,
        "base": _base(config, outcome.prepared),
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


def _base(config: TrainConfig, start: "Prepared") -> Base:
    """Return the base model of training, with SHA-256 hashes of its files."""
    model, base = config.model, start.base
    found = Base(
        name=model.name,
        init="scratch" if model.scratch else "random" if model.random else "pretrained",
        source=(base.repo or str(base.folder)) if base else "none",
        revision=base.commit if base else None,
        weights_sha256=weights_sha256(base.folder) if base and base.folder.is_dir() else None,
        tokenizer_sha256=hashlib.sha256(start.tokenizer.encode()).hexdigest(),
    )
    return Base(**found, head=start.head) if start.head else found
