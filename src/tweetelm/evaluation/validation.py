"""Validation scores in the training loop."""

from dataclasses import dataclass

import torch
from torch import nn

from tweetelm.config.train_config import TrainConfig
from tweetelm.evaluation.metrics import quick_score
from tweetelm.forward import classify_packed
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.precision import autocast
from tweetelm.training.encoded_rows import Rows
from tweetelm.training.strategy import DataParallel


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Computes validation scores; the rows are divided among the workers, and every worker gets the
    result."""

    rows: Rows
    config: TrainConfig
    strategy: DataParallel

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Accuracy, macro-F1, the headline metric, and the loss."""
        assert isinstance(model, OpenELMForSequenceClassification)
        strategy, loop = self.strategy, self.config.loop
        mine = range(strategy.rank, len(self.rows), strategy.world)
        with autocast(loop.precision, strategy.device):
            logits = classify_packed(model, self.rows.sequences(mine), loop.micro_tokens)
        everything = torch.empty(len(self.rows), logits.shape[1])
        for rank, share in enumerate(strategy.gather(logits)):
            everything[rank :: strategy.world] = share
        loss = nn.functional.cross_entropy(everything, torch.tensor(self.rows.labels)).item()
        scores = quick_score(self.rows.labels, everything.softmax(-1).numpy(), self.config.task)
        return {**scores, "loss": loss}
