"""What is minimised: the label of a tweet, or its next token.

Shapes: B tweets of a share, N tokens of them all, D model width, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tweetelm.config import TrainConfig
from tweetelm.openelm import OpenELMForSequenceClassification, OpenELMModel
from tweetelm.openelm.packing import pack
from tweetelm.precision import autocast
from tweetelm.training.phases import PRETRAIN, Phase
from tweetelm.training.rows import Rows

_CHUNK = 1024  # tokens whose logits over the vocabulary are held at once


class Objective(Protocol):
    """What the loop asks of an objective. The loss of a step is the sum of `loss` over all its shares,
    divided by `size` of the whole step."""

    def module(self, model: OpenELMForSequenceClassification) -> nn.Module:
        """What is called, and wrapped for several workers: all of it takes part in `loss`."""

    def size(self, members: Sequence[int]) -> int:
        """How many things the given rows predict."""

    def loss(self, module: nn.Module, share: Sequence[int]) -> Tensor:
        """Sum over a share of rows. An empty share runs one token with weight zero: every worker must take
        part in the exchange of gradients."""


def objective(phase: Phase, rows: Rows, config: TrainConfig, device: torch.device) -> Objective:
    """The objective of a phase."""
    if phase.name == PRETRAIN:
        return LanguageModelling(rows=rows, config=config, device=device)
    return Classification(rows=rows, config=config, device=device)


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Cross-entropy of the labels, per tweet."""

    rows: Rows
    config: TrainConfig
    device: torch.device

    def module(self, model: OpenELMForSequenceClassification) -> nn.Module:
        return model

    def size(self, members: Sequence[int]) -> int:
        return len(members)

    def loss(self, module: nn.Module, share: Sequence[int]) -> Tensor:
        logits = _call(module, self.rows, share, self.config, self.device).logits.float()
        if not share:
            return torch.zeros_like(logits).mul(logits).sum()
        labels = torch.tensor(self.rows.labels[list(share)], device=self.device)
        weight = self._class_weights(logits.shape[1])
        smoothing = self.config.optim.label_smoothing
        return F.cross_entropy(logits, labels, weight=weight, label_smoothing=smoothing, reduction="sum")

    def _class_weights(self, labels: int) -> Tensor | None:
        if self.config.optim.class_weights == "none":
            return None
        return torch.tensor(self.rows.class_weights(labels), device=self.device)


@dataclass(frozen=True, kw_only=True)
class LanguageModelling:
    """Cross-entropy of each token but a tweet's first, given those before it, per token."""

    rows: Rows
    config: TrainConfig
    device: torch.device

    def module(self, model: OpenELMForSequenceClassification) -> nn.Module:
        return NextToken(model.transformer)

    def size(self, members: Sequence[int]) -> int:
        return max(1, sum(self.rows.lengths[row] - 1 for row in members))

    def loss(self, module: nn.Module, share: Sequence[int]) -> Tensor:
        total: Tensor = _call(module, self.rows, share, self.config, self.device)
        return total


def _call(
    module: nn.Module, rows: Rows, share: Sequence[int], config: TrainConfig, device: torch.device
) -> Any:
    batch = pack(rows.sequences(share) if share else [[1]]).to(device)
    with autocast(config.loop.precision, device):
        return module(**batch.inputs())


class NextToken(nn.Module):
    """The decoder as a language model whose output weights are its embedding's."""

    def __init__(self, transformer: OpenELMModel) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, **inputs: Any) -> Tensor:
        """The summed negative log-likelihood, in nats, of a packed row's tokens (1, N), each tweet's first
        one left out."""
        states, ids = self.transformer(**inputs).last_hidden_state[0], inputs["input_ids"][0]
        predicts = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
        predicts[inputs["cu_seq_lens_q"][1:].long() - 1] = False  # the last token of a tweet has no next one
        before = predicts.nonzero()[:, 0]
        states, targets = states[before], ids[before + 1]
        table = self.transformer.token_embeddings.weight
        total: Tensor = (states.sum() + table.sum()) * 0.0 if not len(targets) else states.new_zeros(())
        for some, wanted in zip(states.split(_CHUNK), targets.split(_CHUNK), strict=True):
            total = total + checkpoint(_summed_loss, some, table, wanted, use_reentrant=False)
        return total


def _summed_loss(states: Tensor, table: Tensor, targets: Tensor) -> Tensor:
    """Logits (n, V) are float32 for the softmax, and computed again in the backward pass."""
    return F.cross_entropy(F.linear(states, table).float(), targets, reduction="sum")
