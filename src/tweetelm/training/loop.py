"""The training loop: steps of packed tweets, validations in between, a report after each step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tweetelm.config import TrainConfig
from tweetelm.openelm.packing import pack
from tweetelm.precision import autocast
from tweetelm.training.optimiser import set_learning_rate
from tweetelm.training.rows import Rows
from tweetelm.training.sampler import epoch_steps, micro_batches
from tweetelm.training.state import TrainingState
from tweetelm.training.strategy import DataParallel

Scorer = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every optimiser step of a run, known before it starts: `steps[i]` lists rows; epochs end after
    `ends`."""

    steps: list[list[int]]
    ends: list[int]

    @property
    def total(self) -> int:
        return len(self.steps)

    def epoch(self, step: int) -> float:
        """Epochs finished after `step` steps, as a fraction."""
        start = 0
        for number, end in enumerate(self.ends):
            if step <= end:
                return number + (step - start) / (end - start)
            start = end
        return float(len(self.ends))


def plan(lengths: list[int], config: TrainConfig) -> Plan:
    """Lay out all epochs."""
    loop, steps, ends = config.loop, list[list[int]](), list[int]()
    for epoch in range(loop.epochs):
        steps += epoch_steps(lengths, batch_tokens=loop.batch_tokens, seed=loop.seed, epoch=epoch)
        ends.append(len(steps))
    return Plan(steps=steps, ends=ends)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What happened in one step.

    `loss` (mean per tweet, over all workers) and `grad_norm` (before clipping) are 0-d tensors, so that only
    those who look wait for the device. `scores` is there after a validation; `improved` says whether it was
    the best so far; `checkpoint` asks the caller to save the state.
    """

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
    strategy: DataParallel,
    scorer: Scorer,
    metric: str,
) -> Iterator[Report]:
    """Train from where `state` stands to the end, yielding a report after every step.

    Args:
        state: model, optimiser and progress; changed in place.
        rows: the training rows, the same on every worker.
        config: decides order, schedule, loss and when to validate.
        strategy: this worker's place among all.
        scorer: validation scores of a model, called on every worker at the same steps with the same result.
        metric: the key of `scorer`'s result to maximise.

    Raises:
        FloatingPointError: a validated loss is not finite.
    """
    layout, progress, lengths = plan(rows.lengths, config), state.progress, rows.lengths
    wrapped = strategy.wrap(state.model)
    weight = None
    if config.optim.class_weights == "balanced":
        weight = torch.tensor(rows.class_weights(state.model.num_labels), device=strategy.device)
    while progress.step < layout.total and not progress.stopped:
        members = layout.steps[progress.step]
        lr = set_learning_rate(state.optimiser, config.optim, progress.step, layout.total)
        loss = _backward(wrapped, rows, members, lengths, config, strategy, weight, progress.step)
        learning = [p for p in wrapped.parameters() if p.requires_grad]
        norm = nn.utils.clip_grad_norm_(learning, config.optim.clip)
        state.optimiser.step()
        state.optimiser.zero_grad(set_to_none=True)
        progress.step += 1
        scores, improved = _validate(state, layout, config, loss, scorer, metric)
        every = config.loop.checkpoint_every
        yield Report(
            step=progress.step,
            total=layout.total,
            epoch=layout.epoch(progress.step),
            lr=lr,
            loss=loss,
            grad_norm=norm,
            tweets=len(members),
            tokens=sum(lengths[row] for row in members),
            scores=scores,
            improved=improved,
            checkpoint=scores is not None or (every is not None and progress.step % every == 0),
        )


def _backward(
    wrapped: nn.Module,
    rows: Rows,
    members: list[int],
    lengths: list[int],
    config: TrainConfig,
    strategy: DataParallel,
    weight: Tensor | None,
    step: int,
) -> Tensor:
    """Gradients of one step: the sum over all workers and portions divided by the number of tweets of the
    step."""
    wrapped.train()
    torch.manual_seed((config.loop.seed * 1_000_003 + step) * 1009 + strategy.rank)  # dropout
    shares = micro_batches(
        members, lengths, rank=strategy.rank, world=strategy.world, micro_tokens=config.loop.micro_tokens
    )
    total = torch.zeros((), device=strategy.device)
    for number, share in enumerate(shares or [[]]):
        with strategy.accumulating(wrapped, last=number >= len(shares) - 1):
            loss = _loss(wrapped, rows, share, config, strategy.device, weight) / len(members)
            (loss * strategy.world).backward()  # DDP averages over workers
            total += loss.detach()
    return strategy.total(total)


def _loss(
    wrapped: nn.Module,
    rows: Rows,
    share: list[int],
    config: TrainConfig,
    device: torch.device,
    weight: Tensor | None,
) -> Tensor:
    """Cross-entropy summed over a share. An empty share runs one token with weight zero: every worker must
    take part in the exchange of gradients.
    """
    batch = pack(rows.sequences(share) if share else [[1]]).to(device)
    with autocast(config.loop.precision, device):
        logits = wrapped(**batch.inputs()).logits.float()
    if not share:
        return torch.zeros_like(logits).mul(logits).sum()
    labels = torch.tensor(rows.labels[share], device=device)
    smoothing = config.optim.label_smoothing
    return F.cross_entropy(logits, labels, weight=weight, label_smoothing=smoothing, reduction="sum")


def _validate(
    state: TrainingState, layout: Plan, config: TrainConfig, loss: Tensor, scorer: Scorer, metric: str
) -> tuple[dict[str, float] | None, bool]:
    """Score the model if this step is due, and keep count of the best."""
    progress, every = state.progress, config.loop.validate_every
    due = progress.step in layout.ends if every is None else progress.step % every == 0
    if not due and progress.step != layout.total:
        return None, False
    if not torch.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss.item()} at step {progress.step}; lower --optim.lr or raise --optim.warmup"
        )
    state.model.eval()
    scores = scorer(state.model)
    improved = progress.best is None or scores[metric] > progress.best
    if improved:
        progress.best, progress.best_step, progress.stale = scores[metric], progress.step, 0
    else:
        progress.stale += 1
        progress.stopped = config.loop.patience is not None and progress.stale >= config.loop.patience
    return scores, improved
