"""What each Ray Train worker runs: the library's loop, with checkpoints, reports and progress around it."""

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
from ray.train import Checkpoint, CheckpointUploadMode
from torch import nn
from transformers.utils.logging import disable_progress_bar

from tweetelm.config import TrainConfig, identity
from tweetelm.encoding import Encoder
from tweetelm.evaluation.metrics import quick_score
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.tokenizer import load_tokenizer
from tweetelm.precision import autocast, use_fast_float32
from tweetelm.predictor import classify_packed
from tweetelm.tasks import TASKS
from tweetelm.tracking import Tracker, open_trackers
from tweetelm.training.loop import Report, fit
from tweetelm.training.rows import Rows
from tweetelm.training.setup import Prepared, build_state
from tweetelm.training.state import TrainingState
from tweetelm.training.strategy import DataParallel

_LOG_EVERY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What the driver hands to every worker. `live`: somebody watches a terminal."""

    config: TrainConfig
    prepared: Prepared
    folder: str
    api_key_present: bool
    live: bool


def train_worker(values: dict[str, Setup]) -> None:
    """The `train_loop_per_worker` of Ray Train."""
    setup = values["setup"]
    config, context = setup.config, ray.train.get_context()
    device = ray.train.torch.get_device()
    assert isinstance(device, torch.device)
    use_fast_float32(device)
    disable_progress_bar()  # transformers' own, for each file it reads or writes
    strategy = DataParallel(device=device, rank=context.get_world_rank(), world=context.get_world_size())
    state = build_state(config, setup.prepared, device)
    checkpoint = ray.train.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as folder:
            state.restore(Path(folder))
    journal = Journal.open(setup, state.progress.step) if strategy.leads else None
    scorer = Scorer(setup.prepared.validation, config, strategy)
    metric = TASKS[config.task].metric
    for report in fit(state, setup.prepared.train, config, strategy=strategy, scorer=scorer, metric=metric):
        if journal:
            journal.note(report)
        if report.checkpoint:
            _report(report, state, setup, strategy.leads)
    if journal:
        journal.close(state)


def _report(report: Report, state: TrainingState, setup: Setup, leads: bool) -> None:
    """Hand a checkpoint to Ray. Every worker takes part; the first one's files and metrics count."""
    scores = {f"validation_{key}": value for key, value in (report.scores or {}).items()}
    metrics = {"step": report.step, "epoch": report.epoch, "loss": report.loss.item(), **scores}
    checkpoint = _save(state, setup) if leads else None
    ray.train.report(metrics, checkpoint=checkpoint, checkpoint_upload_mode=CheckpointUploadMode.ASYNC)


def _save(state: TrainingState, setup: Setup) -> Checkpoint:
    folder = Path(tempfile.mkdtemp(prefix="tweetelm-"))  # Ray deletes it when it is uploaded
    config = setup.config
    state.save(folder, {"identity": identity(config), "data": setup.prepared.provenance.md5})
    tokenizer_file = folder / "tokenizer.json"
    tokenizer_file.write_text(setup.prepared.tokenizer, encoding="utf-8")
    tokenizer = load_tokenizer(tokenizer_file)
    encoder = Encoder(tokenizer=tokenizer, text=config.text, max_tokens=config.model.max_tokens)
    encoder.save(folder, TASKS[config.task])
    return Checkpoint.from_directory(folder)


@dataclass(frozen=True, kw_only=False)
class Scorer:
    """Validation scores, the rows shared among the workers and the result the same on each."""

    rows: Rows
    config: TrainConfig
    strategy: DataParallel

    def __call__(self, model: nn.Module) -> dict[str, float]:
        assert isinstance(model, OpenELMForSequenceClassification)
        strategy, loop = self.strategy, self.config.loop
        mine = range(strategy.rank, len(self.rows), strategy.world)
        with autocast(loop.precision, strategy.device):
            logits = classify_packed(model, self.rows.sequences(mine), loop.micro_tokens)
        everything = torch.empty(len(self.rows), logits.shape[1])
        for rank, share in enumerate(strategy.gather(logits)):
            everything[rank :: strategy.world] = share
        loss = nn.functional.cross_entropy(everything, torch.tensor(self.rows.labels)).item()
        scores = quick_score(self.rows.labels, everything.softmax(-1).numpy(), TASKS[self.config.task])
        return {**scores, "loss": loss}


@dataclass(kw_only=True)
class Journal:
    """The first worker's account of a run: progress to read now, metrics to keep."""

    tracker: Tracker
    metric: str
    bar: Any
    started: float = field(default_factory=time.perf_counter)
    spoke: float = 0.0
    tweets: int = 0
    tokens: int = 0
    done: int = 0

    @classmethod
    def open(cls, setup: Setup, step: int) -> "Journal":
        """Open the trackers, and a bar if somebody watches."""
        folder = Path(setup.folder) if "://" not in setup.folder else Path.cwd()
        config = setup.config
        tracker = open_trackers(config, folder, step, api_key_present=setup.api_key_present)
        if step:
            print(f"resuming {config.run_name} at step {step}", flush=True)
        bar = None
        if setup.live:
            from ray.experimental import tqdm_ray

            bar = tqdm_ray.tqdm(desc=config.run_name, unit="step")
        return cls(tracker=tracker, metric=TASKS[config.task].metric, bar=bar)

    def note(self, report: Report) -> None:
        """Take one step down; say something about it every few seconds and at each validation."""
        self.tweets += report.tweets
        self.tokens += report.tokens
        self.done += 1
        now = time.perf_counter()
        due = now - self.spoke > _LOG_EVERY_S or report.step == report.total
        if not due and report.scores is None and self.done > 1:
            return
        self.spoke, seconds = now, now - self.started
        metrics = {
            "epoch": report.epoch,
            "loss": report.loss.item(),
            "lr": report.lr,
            "grad_norm": report.grad_norm.item(),
            "tweets_per_s": self.tweets / seconds,
            "tokens_per_s": self.tokens / seconds,
        }
        scores = {f"validation_{key}": value for key, value in (report.scores or {}).items()}
        self.tracker.log(metrics | scores, report.step)
        self._say(report, metrics, seconds / self.done * (report.total - report.step))

    def _say(self, report: Report, metrics: dict[str, float], eta: float) -> None:
        score = ""
        if report.scores is not None:
            best = " (best)" if report.improved else ""
            score = f"  validation {self.metric} {report.scores[self.metric]:.4f}{best}"
        line = (
            f"epoch {report.epoch:5.2f}  step {report.step}/{report.total}  loss {metrics['loss']:.4f}  "
            f"{metrics['tweets_per_s']:.0f} tweets/s  {metrics['tokens_per_s']:.0f} tokens/s  "
            f"ETA {int(eta // 60)}:{int(eta % 60):02d}{score}"
        )
        if self.bar is not None:
            self.bar.set_total(report.total) if hasattr(self.bar, "set_total") else None
            self.bar.update(report.step - getattr(self.bar, "_x", 0))
            self.bar.set_description(line)
        if self.bar is None or report.scores is not None:
            print(line, flush=True)

    def close(self, state: TrainingState) -> None:
        """Finish the trackers and say why the run ended."""
        progress = state.progress
        if progress.stopped:
            print(f"stopped early after step {progress.step}: best was step {progress.best_step}", flush=True)
        summary = {"best": progress.best, "best_step": progress.best_step, "steps": progress.step}
        self.tracker.finish(summary)
        if self.bar is not None:
            self.bar.close()
