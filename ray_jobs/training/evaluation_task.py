"""The Ray task that evaluates a run's best checkpoint, writes its report, and publishes it."""

import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch
from datasets import DatasetDict
from transformers.utils.logging import disable_progress_bar

from ray_jobs.run_dir import EVALUATION, Finished
from ray_jobs.training.accelerator_task import local_copy
from ray_jobs.training.run_storage import RunStorage
from tweetelm.config.train_config import TrainConfig
from tweetelm.data import Provenance
from tweetelm.evaluation import finished_run
from tweetelm.evaluation.report.context import Rival
from tweetelm.evaluation.report.document import Section
from tweetelm.evaluation.report.sections.comparison import comparison_line
from tweetelm.evaluation.report.sections.errors import worst_errors
from tweetelm.evaluation.report.write import write
from tweetelm.files import object_storage
from tweetelm.precision import use_fast_float32
from tweetelm.predictor import Predictor
from tweetelm.registry import publish
from tweetelm.registry.card import Base, Card
from tweetelm.registry.code_version import Git
from tweetelm.tasks import shown_metrics
from tweetelm.tracking.wandb_settings import has_api_key
from tweetelm.tracking.weights_biases import open_wandb


def evaluate_checkpoint(
    config: TrainConfig,
    *,
    checkpoint: str,
    dataset: DatasetDict,
    provenance: Provenance,
    rival: Rival | None,
    base: Base,
    git: Git | None,
    registry: str,
    threads: int,
) -> Finished:
    """Evaluate on all splits but train, calibrate on validation, write the report, publish if configured.

    The task may run on another machine than the command, which has read the data and hashed the base weights.

    Args:
        config: Configuration of the run.
        checkpoint: Folder or URL of the best checkpoint.
        dataset: The task's splits.
        provenance: Source files of the dataset.
        rival: The teacher's predictions of the test rows, to compare with; None without a teacher.
        base: Base model of training.
        git: Commit of the code; None outside a repository.
        registry: Absolute path or URL of the registry.
        threads: CPU threads of torch.
    """
    disable_progress_bar()
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as scratch, local_copy(checkpoint) as folder:
        predictor = Predictor.load(folder, precision="float32")
        use_fast_float32(predictor.model)
        evaluated = finished_run.evaluate_checkpoint(
            config, predictor, dataset, provenance=provenance, base=base, git=git, rival=rival
        )
        card, report = evaluated.card, Path(scratch) / "evaluation"
        write(evaluated.context, report)
        if rival:
            print(comparison_line(evaluated.context, rival), flush=True)
        shown = shown_metrics(config.task.metric)
        scores = {split: {k: m[k] for k in shown} for split, m in card.metrics.items()}
        finished = Finished(run=config.run_name, scores=scores, notices=card.notices)
        _store_report(report, f"{config.folder}/{EVALUATION}")
        if config.run.publish:
            published = publish(
                folder, card, registry=registry, evaluation=report, replace=config.run.replace
            )
            finished = Finished(**{**asdict(finished), **asdict(published)})
        _track(config, finished, card, folder, worst_errors(evaluated.context))
        return finished


def _store_report(report: Path, folder: str) -> None:
    """Copy the report into the run folder, also for a run that is not published."""
    object_storage.remove(folder)
    object_storage.send(report, folder)


def _track(config: TrainConfig, finished: Finished, card: Card, checkpoint: Path, worst: Section) -> None:
    """Log test scores, the worst errors, the published version and its card to the run in W&B."""
    storage = RunStorage(config.folder)
    has_key = has_api_key(os.environ)
    tracker = open_wandb(
        config, storage.path, api_key_present=has_key, environ=os.environ, place=config.folder
    )
    if tracker is None:
        return
    if finished.version:
        version = Path(finished.path or "")
        files = version if version.is_dir() else checkpoint
        tracker.publish(files, finished.version, config.task.name, asdict(card), finished.promoted)
    (table,) = worst.tables
    tracker.table("worst_errors", table.columns, table.rows)
    values = {f"{split}_{key}": v for split, scores in finished.scores.items() for key, v in scores.items()}
    tracker.finish(values)
    storage.close()
