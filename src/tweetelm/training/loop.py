"""The training loop: optimizer steps on packed tweets, validation, and one report per step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from tweetelm.config.train_config import TrainConfig
from tweetelm.encoding import pass_tokens
from tweetelm.openelm.cpu.training_layers import fuse_for_training
from tweetelm.training.encoded_rows import Rows, Tweets
from tweetelm.training.objectives import Objective, objective
from tweetelm.training.optimizer import set_learning_rate
from tweetelm.training.phases import CLASSIFY, Phase, PhaseName, plan
from tweetelm.training.recorded_passes import RecordedPass, recorded_pass
from tweetelm.training.sampler import micro_batches
from tweetelm.training.state import TrainingState
from tweetelm.training.strategy import DataParallel

Scorer = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of one optimizer step.

    `loss` and `grad_norm` are 0-d tensors: reading their values waits for the device.

    Attributes:
        phase: the phase of the step.
        step: finished steps of the run.
        total: all steps of the run.
        epoch: finished epochs of the phase, as a fraction.
        lr: the largest learning rate of the step.
        loss: mean over all workers, in nats; per tweet in classification, per token in language modeling.
        grad_norm: norm of the gradients before clipping.
        tweets: tweets of the step, over all workers.
        tokens: tokens of the step, over all workers.
        scores: validation scores; None if the step was not validated.
        improved: whether this validation is the best so far.
        checkpoint: whether the caller should save the state.
    """

    phase: PhaseName
    step: int
    total: int
    epoch: float
    lr: float
    loss: Tensor
    grad_norm: Tensor
    tweets: int
    tokens: int
    scores: dict[str, float] | None = None
    improved: bool = False
    checkpoint: bool = False


def fit(
    state: TrainingState,
    rows: Rows,
    config: TrainConfig,
    *,
    unlabeled: Tweets | None = None,
    strategy: DataParallel,
    scorer: Scorer,
    metric: str,
) -> Iterator[Report]:
    """Train from the current step of `state` to the end. Yields a report after every step.

    Args:
        state: model, optimizer and progress; changed in place.
        rows: the training rows, the same on every worker.
        config: sets phases, row order, schedule, loss and validation interval.
        unlabeled: tweets that language modeling reads besides the training rows.
        strategy: this worker's rank and device.
        scorer: returns the validation scores of a model. Every worker calls it at the same steps, and it must
            return the same result on each.
        metric: the key of `scorer`'s result to maximize.

    Raises:
        FloatingPointError: the loss at the end of an epoch or at a validation is not finite.
    """
    more = unlabeled.lengths if unlabeled else []
    layout, progress = plan(rows.lengths, config, more), state.progress
    fused = fuse_for_training(state.model)
    for phase in layout.phases:
        if progress.step >= phase.end or progress.stopped:
            continue
        goal = objective(phase, rows, unlabeled, config, strategy.device, fused=fused)
        state.enter(phase, config.optim)
        wrapped = strategy.wrap(goal.module(state.model), partial(goal.loss, share=()))
        recorded = recorded_pass(goal, wrapped, phase, config, strategy)
        while progress.step < phase.end and not progress.stopped:
            members = phase.steps[progress.step - phase.start]
            lr = set_learning_rate(state.optimizer, config.optim, phase, progress.step)
            loss = _backward(wrapped, goal, recorded, members, config, strategy, progress.step)
            norm = _descend(state, config.optim.clip, keep_gradients=recorded is not None)
            if progress.step > phase.average_after:
                state.add_to_average()
            scores, improved = _validate(state, phase, config, loss, scorer, metric)
            yield Report(
                phase=phase.name,
                step=progress.step,
                total=layout.total,
                epoch=phase.epoch(progress.step - phase.start),
                lr=lr,
                loss=loss,
                grad_norm=norm,
                tweets=len(members),
                tokens=sum(goal.rows.lengths[row] for row in members),
                scores=scores,
                improved=improved,
                checkpoint=scores is not None or _keep(phase, progress.step, config),
            )


def _descend(state: TrainingState, clip: float, *, keep_gradients: bool) -> Tensor:
    """Clip the gradients and take one optimizer step; returns the gradient norm before clipping.

    `keep_gradients`: set them to zero where they are, for recorded passes, instead of freeing them.
    """
    norm = nn.utils.clip_grad_norm_([p for _, p in state.learning()], clip)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=not keep_gradients)
    state.progress.step += 1
    return norm


def _backward(
    wrapped: nn.Module,
    goal: Objective,
    recorded: RecordedPass | None,
    members: list[int],
    config: TrainConfig,
    strategy: DataParallel,
    step: int,
) -> Tensor:
    """Compute the gradients of one step: the sum over all workers and micro-batches, divided by the size of
    the step. Returns the loss, summed and divided in the same way."""
    wrapped.train()
    torch.manual_seed((config.loop.seed * 1_000_003 + step) * 1009 + strategy.rank)  # dropout
    most = pass_tokens(strategy.device, config.loop.micro_tokens)
    lengths, world = goal.rows.lengths, strategy.world
    shares = micro_batches(members, lengths, rank=strategy.rank, world=world, micro_tokens=most)
    total, size = torch.zeros((), device=strategy.device), goal.size(members)
    for number, share in enumerate(shares or [[]]):
        if recorded is not None and recorded.fits(share):
            total += recorded.backward(share, size)
            continue
        with strategy.accumulating(wrapped, last=number >= len(shares) - 1):
            loss = goal.loss(wrapped, share) / size
            (loss * world).backward()  # cancels DDP's mean over workers
            total += loss.detach()
    return strategy.total(total)


def _keep(phase: Phase, step: int, config: TrainConfig) -> bool:
    """Whether to save a checkpoint at a step without validation: every `checkpoint_every` steps, and after
    each epoch of language modeling."""
    every = config.loop.checkpoint_every
    between = phase.name != CLASSIFY and step - phase.start in phase.ends
    return between or (every is not None and step % every == 0)


def _validate(
    state: TrainingState, phase: Phase, config: TrainConfig, loss: Tensor, scorer: Scorer, metric: str
) -> tuple[dict[str, float] | None, bool]:
    """Validate if this step requires it; returns the scores and whether they are the best so far."""
    progress, every, step = state.progress, config.loop.validate_every, state.progress.step - phase.start
    last = step == len(phase.steps)
    due = step in phase.ends if every is None or phase.name != CLASSIFY else step % every == 0 or last
    if not due:
        return None, False
    if not torch.isfinite(loss):
        rate = "optim.lr" if phase.name == CLASSIFY else "pretrain.lr"
        raise FloatingPointError(
            f"the loss is {loss.item()} at step {progress.step}; lower --{rate} or raise --optim.warmup"
        )
    if phase.name != CLASSIFY:
        return None, False
    state.model.eval()
    with state.averaged():
        scores = scorer(state.model)
    improved = progress.best is None or scores[metric] > progress.best
    if improved:
        progress.best, progress.best_step, progress.stale = scores[metric], progress.step, 0
    else:
        progress.stale += 1
        progress.stopped = config.loop.patience is not None and progress.stale >= config.loop.patience
    return scores, improved
