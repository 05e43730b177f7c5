"""Training objectives: cross-entropy of labels (classification) or of next tokens (language modeling).
With a teacher, classification also has the divergence from its probabilities (arXiv 1503.02531).

A micro-batch is the rows that one worker packs into one forward pass.
Shapes: B tweets of a micro-batch, K labels, N tokens of a micro-batch, D model width, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tweetelm.config.train_config import TrainConfig
from tweetelm.openelm import OpenELMForSequenceClassification, OpenELMModel
from tweetelm.openelm.cpu.prefix_tree import PrefixTree
from tweetelm.openelm.packing import PackedBatch, pack_onto, row_parents
from tweetelm.precision import autocast
from tweetelm.training.encoded_rows import NO_LABEL, Rows, Tweets
from tweetelm.training.phases import PRETRAIN, Phase

_CHUNK = 1024  # tokens per (n, V) block of logits; limits memory
_NOTHING = -100  # PyTorch's default ignore_index


class Objective(Protocol):
    """An objective of the training loop. The loss of a step is the sum of `loss` over its micro-batches,
    divided by `size` of the whole step."""

    @property
    def rows(self) -> Tweets:
        """The tweets that steps index."""

    def module(self, model: OpenELMForSequenceClassification) -> nn.Module:
        """The module that `loss` calls, which DDP wraps; `loss` must use all of its parameters."""

    def size(self, members: Sequence[int]) -> int:
        """The number of predictions for the given rows: tweets, or next tokens."""

    def loss(self, module: nn.Module, share: Sequence[int]) -> Tensor:
        """Summed loss of a micro-batch of rows, in nats. An empty one runs one token with weight zero,
        because every worker must join the all-reduce of the gradients."""


def objective(
    phase: Phase,
    rows: Rows,
    unlabeled: Tweets | None,
    config: TrainConfig,
    device: torch.device,
    *,
    fused: bool,
) -> Objective:
    """The objective of a phase. Only language modeling reads the unlabeled tweets, which follow the rows.

    `fused`: whether the model's layers are those of `openelm.cpu.training_layers`.
    """
    if phase.name == PRETRAIN:
        tweets = rows.followed_by(unlabeled) if unlabeled else rows
        return LanguageModeling(rows=tweets, config=config, device=device, fused=fused)
    if config.distill.teacher is not None and rows.teacher is None:
        raise ValueError(f"teacher {config.distill.teacher} has not answered the training tweets yet")
    return Classification(rows=rows, config=config, device=device, fused=fused)


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Cross-entropy of the label, per tweet, mixed with the divergence from the teacher's probabilities."""

    rows: Rows
    config: TrainConfig
    device: torch.device
    fused: bool = False

    def module(self, model: OpenELMForSequenceClassification) -> nn.Module:
        return model

    def size(self, members: Sequence[int]) -> int:
        return len(members)

    def loss(self, module: nn.Module, share: Sequence[int]) -> Tensor:
        share, inputs = self._inputs(share)
        logits = self.logits(module, inputs)
        if not share:
            return torch.zeros_like(logits).mul(logits).sum()
        return self.loss_of(logits[: len(share)], *self.answers(share))

    def logits(self, module: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """(B, K) float32, for the arguments of the model."""
        with autocast(self.config.loop.precision, self.device):
            found: Tensor = module(**inputs).logits.float()
        return found

    def answers(self, share: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """The labels (B,), and the teacher's log-probabilities (B, K)."""
        rows = list(share)
        teacher = self.rows.teacher
        return (
            torch.tensor(self.rows.labels[rows], device=self.device),
            None if teacher is None else torch.tensor(teacher[rows], device=self.device),
        )

    def loss_of(
        self, logits: Tensor, labels: Tensor, teacher: Tensor | None, real: Tensor | None = None
    ) -> Tensor:
        """Summed loss of logits (B, K), in nats. `real` (B,) is 0 for tweets that do not count."""
        weight, smoothing = self._class_weights, self.config.optim.label_smoothing
        hard = F.cross_entropy(logits, labels, weight=weight, label_smoothing=smoothing, reduction="sum")
        if teacher is None:
            return hard
        share_of_teacher = self.config.distill.weight
        soft = divergence(logits, teacher, self.config.distill.temperature)
        soft = soft if real is None else soft * real
        unlabeled = (labels == NO_LABEL).float()
        weights = share_of_teacher + (1 - share_of_teacher) * unlabeled
        return (weights * soft).sum() + (1 - share_of_teacher) * hard

    def _inputs(self, share: Sequence[int]) -> tuple[Sequence[int], dict[str, Any]]:
        """The rows in the order of the logits, and the arguments of the model."""
        if self.fused and share and self.config.model.pooling == "last":
            tree = PrefixTree.of_one_pass(self.rows.sequences(share))
            return [share[tweet] for tweet in tree.tweets], tree.inputs()
        return share, _packed_inputs(_pack(self.rows, share, self.device), self.fused)

    @cached_property
    def _class_weights(self) -> Tensor | None:
        if self.config.optim.class_weights == "none":
            return None
        weights = self.rows.class_weights(len(self.config.task.labels))
        return torch.tensor(weights, device=self.device)


@dataclass(frozen=True, kw_only=True)
class LanguageModeling:
    """Cross-entropy of the next token, for every token of a tweet except its first."""

    rows: Tweets
    config: TrainConfig
    device: torch.device
    fused: bool = False

    def module(self, model: OpenELMForSequenceClassification) -> nn.Module:
        return NextToken(model.transformer)

    def size(self, members: Sequence[int]) -> int:
        return max(1, sum(self.rows.lengths[row] - 1 for row in members))

    def loss(self, module: nn.Module, share: Sequence[int]) -> Tensor:
        batch = _pack(self.rows, share, self.device)
        with autocast(self.config.loop.precision, self.device):
            total: Tensor = module(next_tokens(batch), **_packed_inputs(batch, self.fused))
        return total


def divergence(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the student from the teacher, (B,), in nats, both softened.

    It is multiplied by the temperature squared, so that its gradient has the size of that of cross-entropy
    (Hinton, Vinyals, Dean 2015, section 2.1).

    Args:
        logits: the student's, (B, K).
        teacher: log-probabilities, (B, K).
        temperature: divides both before softmax.
    """
    soft, wanted = ((each / temperature).log_softmax(-1) for each in (logits, teacher))
    return F.kl_div(soft, wanted, log_target=True, reduction="none").sum(-1) * temperature**2


def _pack(rows: Tweets, share: Sequence[int], device: torch.device) -> PackedBatch:
    return pack_onto(device, rows.sequences(share) if share else [[1]])


def _packed_inputs(batch: PackedBatch, fused: bool) -> dict[str, Any]:
    """The arguments of the model for a packed row; fused layers need the parents of its tokens."""
    inputs = batch.inputs()
    return inputs | {"parents": row_parents(batch.input_ids.shape[1])} if fused else inputs


def next_tokens(batch: PackedBatch) -> Tensor:
    """The next token of each token, (N,); `_NOTHING` after a tweet's last token and in filler rows."""
    ids, starts = batch.input_ids[0], batch.cu_seq_lens.long()
    targets = ids.roll(-1)
    targets[starts[1:] - 1] = _NOTHING
    targets[starts[len(starts) - 1 - batch.fillers] :] = _NOTHING
    return targets


class NextToken(nn.Module):
    """The decoder as a language model with tied input and output embeddings."""

    def __init__(self, transformer: OpenELMModel) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, targets: Tensor, **inputs: Any) -> Tensor:
        """Summed negative log-likelihood of `targets` (N,), in nats, for a packed row of tokens (1, N)."""
        states = self.transformer(**inputs).last_hidden_state[0]
        table = self.transformer.token_embeddings.weight
        total: Tensor = states.new_zeros((), dtype=torch.float32)
        for some, wanted in zip(states.split(_CHUNK), targets.split(_CHUNK), strict=True):
            total = total + checkpoint(_summed_loss, some, table, wanted, use_reentrant=False)
        return total


def _summed_loss(states: Tensor, table: Tensor, targets: Tensor) -> Tensor:
    """Summed cross-entropy of a chunk. The backward pass recomputes the logits (n, V), which are float32."""
    logits = F.linear(states, table).float()
    return F.cross_entropy(logits, targets, ignore_index=_NOTHING, reduction="sum")
