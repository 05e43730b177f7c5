"""`fine_tune`: trains a classifier in this process, with the training loop of `tweetelm train`."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tweetelm import registry as versions
from tweetelm.api.quiet import without_progress_bars
from tweetelm.config.keywords import from_keywords
from tweetelm.config.overrides import override
from tweetelm.config.sections import ModelConfig
from tweetelm.config.train_config import TrainConfig, check_effects
from tweetelm.data import hold_out, load
from tweetelm.distillation import find_teacher, teach
from tweetelm.evaluation.evaluate import Evaluation
from tweetelm.evaluation.finished_run import Evaluated, evaluate_checkpoint
from tweetelm.evaluation.report.write import write
from tweetelm.evaluation.rivals import teacher_as_rival
from tweetelm.evaluation.validation import Scorer
from tweetelm.files import atomic
from tweetelm.files.paths import expanded
from tweetelm.precision import choose, pick_device, use_fast_float32
from tweetelm.predictor import Predictor
from tweetelm.registry.base_model import base_of
from tweetelm.registry.card import Card
from tweetelm.registry.versions import DEFAULT_REGISTRY
from tweetelm.tasks import Task, as_task
from tweetelm.training.build_classifier import build_state
from tweetelm.training.checkpoint import save_checkpoint
from tweetelm.training.loop import Report, fit
from tweetelm.training.prepare import Prepared, prepare
from tweetelm.training.progress_rates import ProgressRates, early_stopping
from tweetelm.training.state import TrainingState
from tweetelm.training.strategy import DataParallel

CHECKPOINT, EVALUATION, CARD = "checkpoint", "evaluation", "card.json"


@dataclass(frozen=True, kw_only=True)
class FineTuned:
    """A model that `fine_tune` trained.

    Attributes:
        model: the best checkpoint by validation, calibrated, in float32.
        evaluation: its results on validation and test.
        folder: `checkpoint/`, the report in `evaluation/`, and `card.json`.
        card: lineage and results.
    """

    model: Predictor
    evaluation: Evaluation
    folder: Path
    card: Card

    def __repr__(self) -> str:
        return f"FineTuned({self.card.run}: {self.evaluation!r}, in {self.folder})"


def fine_tune(
    task: str | Path | Task,
    model: str = "scratch-1m",
    *,
    folder: str | Path | None = None,
    device: str = "auto",
    progress: bool = True,
    **settings: Any,
) -> FineTuned:
    """Train a classifier in this process, evaluate its best checkpoint, and write a report.

    The settings are those of `tweetelm train`, with `_` for the dot or without the section: `--optim.lr 1e-4`
    is `optim_lr=1e-4` or `lr=1e-4`. The short form never means language modeling: `epochs` is `loop_epochs`,
    and `pretrain_epochs` is the other.

    Running the same call again trains again and replaces the folder. An interrupted call leaves nothing; for
    runs that resume, use `tweetelm train`.

    Args:
        task: the task, its name, or its file.
        model: a preset, a hub id, or a folder, as in `--model.name`.
        folder: for the results; by default `runs/fine-tuned/<name of the run>`.
        device: "cpu", "cuda", or "auto" for the GPU if there is one.
        progress: print a line every 5 s and at each validation.
        **settings: `root="sample"`, `epochs=5`, `lr=1e-3`, `batch_tokens=512` and so on.

    Raises:
        FileExistsError: the folder contains something else.
        FileNotFoundError: data, weights or tokenizer are missing.
        ValueError: a setting is unknown or has an invalid value, or the data is damaged.
    """
    config = configuration(task, model, settings)
    target = Path(expanded(str(folder or f"runs/fine-tuned/{config.run_name}")))
    _check_target(target)
    with without_progress_bars(), _matmul_precision_kept():
        find_teacher(config)
        prepared = teach(config, prepare(config))
        with atomic.staging_dir(target) as partial:
            _train(config, prepared, pick_device(device), partial / CHECKPOINT, progress)
            evaluated = _evaluate(config, prepared, partial, device)
            _check_target(target)
            shutil.rmtree(target, ignore_errors=True)
            if not atomic.commit(partial, target):
                raise FileExistsError(f"{target} was created meanwhile; choose another folder")
    if progress:
        print(f"{evaluated.evaluation.summary()}\nreport in {target / EVALUATION}/report.html", flush=True)
    return FineTuned(
        model=evaluated.predictor, evaluation=evaluated.evaluation, folder=target, card=evaluated.card
    )


def publish(
    result: FineTuned, *, registry: str = DEFAULT_REGISTRY, replace: bool = False
) -> versions.Published:
    """Publish a fine-tuned model as a version, and promote it unless the current version is better.

    Args:
        result: from `fine_tune`.
        registry: folder or URL.
        replace: promote even if the current version has a better validation metric.

    Raises:
        FileNotFoundError: the folder of the result was removed.
        ValueError: a file changed during publishing.
    """
    return versions.publish(
        result.folder / CHECKPOINT,
        result.card,
        registry=registry,
        evaluation=result.folder / EVALUATION,
        replace=replace,
    )


def configuration(task: str | Path | Task, model: str, settings: dict[str, Any]) -> TrainConfig:
    """The configuration of a run.

    Raises:
        ValueError: a setting is unknown or has an invalid value.
    """
    known = as_task(str(task) if isinstance(task, Path) else task)
    config = TrainConfig(task=known, model=ModelConfig(name=model))
    config = override(config, from_keywords(settings))
    check_effects(config)
    return config


def _check_target(target: Path) -> None:
    ours = (target / CARD).is_file() and (target / CHECKPOINT).is_dir()
    if target.exists() and not ours:
        raise FileExistsError(
            f"{target} exists and is no result of fine_tune; expected a new folder, or one of its results: "
            "choose another one with folder="
        )
    target.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _matmul_precision_kept() -> Iterator[None]:
    """Restore torch's precision of matrix products at the end; `use_fast_float32` sets it for the process."""
    precision = torch.get_float32_matmul_precision()
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)


def _train(config: TrainConfig, prepared: Prepared, device: torch.device, best: Path, progress: bool) -> None:
    """Train to the end; write the best checkpoint by validation to `best`."""
    state, strategy = build_state(config, prepared, device), DataParallel(device=device)
    if choose(config.loop.precision, device) == "float32":
        use_fast_float32(state.model)
    scorer = Scorer(rows=prepared.validation, config=config, strategy=strategy)
    metric, rates = config.task.metric, ProgressRates()
    if progress and prepared.head:
        print(f"{config.model.name}: new classifier head: {prepared.head}", flush=True)
    for unlabeled in (prepared.provenance.unlabeled, prepared.provenance.distilled):
        if progress and unlabeled:
            print(unlabeled, flush=True)
    steps = fit(
        state,
        prepared.train,
        config,
        unlabeled=prepared.unlabeled,
        strategy=strategy,
        scorer=scorer,
        metric=metric,
    )
    for report in steps:
        if rates.count(report) and progress:
            print(rates.line(report, metric), flush=True)
        if report.improved:
            _save(best, state, config, prepared, report)
    if progress and state.progress.stopped:
        print(early_stopping(state.progress.step, state.progress.best_step), flush=True)


def _save(
    folder: Path, state: TrainingState, config: TrainConfig, prepared: Prepared, report: Report
) -> None:
    """Replace the checkpoint."""
    shutil.rmtree(folder, ignore_errors=True)
    scores = {f"validation_{key}": value for key, value in (report.scores or {}).items()}
    metrics = {"step": report.step, "epoch": report.epoch, "loss": report.loss.item(), **scores}
    save_checkpoint(folder, state, config, prepared, metrics)


def _evaluate(config: TrainConfig, prepared: Prepared, folder: Path, device: str) -> Evaluated:
    """Evaluate the checkpoint; write the report and the card."""
    predictor = Predictor.load(folder / CHECKPOINT, device=device, precision="float32")
    use_fast_float32(predictor.model)
    dataset = hold_out(load(config.task, config.data.root), config.data.hold_out)
    evaluated = evaluate_checkpoint(
        config,
        predictor,
        dataset,
        provenance=prepared.provenance,
        base=base_of(config, prepared),
        git=versions.git_state(Path.cwd()),
        rival=teacher_as_rival(config, prepared.provenance.md5, len(dataset["test"])),
    )
    write(evaluated.context, folder / EVALUATION)
    atomic.write_text(folder / CARD, evaluated.card.to_json())
    return evaluated
