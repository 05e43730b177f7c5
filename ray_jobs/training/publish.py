"""After training: evaluate the best checkpoint on validation and test, and publish it."""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ray
from datasets import DatasetDict

from ray_jobs.cluster.connect import Resources
from ray_jobs.run_dir import FINISHED_FILE, SCORES, Finished, run_folder
from ray_jobs.training.launcher import Outcome
from ray_jobs.training.remote_call import local_copy, task_options
from ray_jobs.training.run_storage import RunStorage
from tweetelm.config.train_config import TrainConfig
from tweetelm.data import Provenance, hold_out, load
from tweetelm.files import object_storage
from tweetelm.files.paths import located
from tweetelm.openelm.checkpoints.weight_files import weights_sha256
from tweetelm.precision import use_fast_float32
from tweetelm.registry import make_card, publish
from tweetelm.registry.card import Base, Card, Git
from tweetelm.tasks import TASKS
from tweetelm.tracking.trackers import has_api_key, open_wandb

if TYPE_CHECKING:
    from tweetelm.training.prepare import Prepared

EVALUATION = "evaluation"


@dataclass(frozen=True, kw_only=True)
class Origins:
    """Where a model comes from, as its card tells."""

    provenance: Provenance
    base: Base
    git: Git | None


def evaluate_and_publish(
    config: TrainConfig, outcome: Outcome, resources: Resources, git: Git | None
) -> Finished:
    """Do both where the accelerator is, as a Ray task, and note the result in the run's folder."""
    options, cpus = task_options(config, resources)
    task = ray.remote(**options)(_evaluate_and_publish)
    dataset = hold_out(load(TASKS[config.task], config.data.root), config.data.hold_out)
    start = outcome.prepared
    base = _base(config, start)
    origins = Origins(provenance=start.provenance, base=base, git=git)
    registry = located(config.run.registry)
    finished: Finished = ray.get(task.remote(config, outcome.checkpoint, dataset, origins, registry, cpus))
    document = json.dumps(asdict(finished), indent=2) + "\n"
    object_storage.write(f"{run_folder(config)}/{FINISHED_FILE}", document.encode())
    return finished


def _evaluate_and_publish(
    config: TrainConfig,
    checkpoint: str,
    dataset: DatasetDict,
    origins: Origins,
    registry: str,
    threads: int,
) -> Finished:
    """Data and base weights were read where the command runs: this may be another machine."""
    import torch
    from transformers.utils.logging import disable_progress_bar

    from tweetelm.evaluation.evaluate import calibrated, evaluate  # here: the command can do without them
    from tweetelm.evaluation.report.context import ReportContext
    from tweetelm.evaluation.report.write import write
    from tweetelm.predictor import Predictor

    disable_progress_bar()
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as scratch, local_copy(checkpoint) as folder:
        predictor = Predictor.load(folder, precision="float32")
        use_fast_float32(predictor.model)
        splits = [name for name in dataset if name != "train"]
        evaluation = calibrated(evaluate(predictor, dataset, splits), dataset, config.run.threshold)
        card = make_card(
            config,
            provenance=origins.provenance,
            base=origins.base,
            metrics=evaluation.metrics,
            git=origins.git,
            threshold=evaluation.threshold,
            temperature=evaluation.temperature,
        )
        report = Path(scratch) / "evaluation"
        write(
            ReportContext(evaluation=evaluation, dataset=dataset, provenance=origins.provenance, card=card),
            report,
        )
        scores = {split: {k: m[k] for k in SCORES} for split, m in evaluation.metrics.items()}
        finished = Finished(run=config.run_name, scores=scores, notices=card.notices)
        _keep(report, f"{run_folder(config)}/{EVALUATION}")
        if config.run.publish:
            published = publish(
                folder, card, registry=registry, evaluation=report, replace=config.run.replace
            )
            finished = Finished(**{**asdict(finished), **asdict(published)})
        _track(config, finished, card, folder)
        return finished


def _keep(report: Path, where: str) -> None:
    """The report in the run's folder too: a run that is not published has results all the same."""
    object_storage.remove(where)
    object_storage.send(report, where)


def _track(config: TrainConfig, finished: Finished, card: Card, checkpoint: Path) -> None:
    """Test scores, the published version and the data's hash, in the run's place in Weights & Biases."""
    storage = RunStorage(run_folder(config))
    has_key = has_api_key(os.environ)
    tracker = open_wandb(
        config, storage.path, api_key_present=has_key, environ=os.environ, place=run_folder(config)
    )
    if tracker is None:
        return
    if finished.version:
        version = Path(finished.path or "")
        files = version if version.is_dir() else checkpoint
        tracker.publish(files, finished.version, config.task, asdict(card), finished.promoted)
    values = {f"{split}_{key}": v for split, scores in finished.scores.items() for key, v in scores.items()}
    tracker.finish(values)
    storage.close()


def _base(config: TrainConfig, start: "Prepared") -> Base:
    """What training started from, with hashes of the files themselves."""
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
