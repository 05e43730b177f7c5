"""Token attributions of a prediction: integrated gradients over the embedding layer.

Method: Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks; implementation: captum.

Shapes: T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tweetelm.encoding import Encoder
from tweetelm.evaluation.report.context import ReportContext
from tweetelm.evaluation.report.document import Section, Table
from tweetelm.evaluation.report.sections.errors import worst
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.checkpoints.loading import load_weights

STEPS = 64
FEW = 5
STRONGEST = 6


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Attributions of a tweet's tokens.

    Attributes:
        scores: (T,) contribution of each token to the log-odds of a label: of two labels, the positive one;
            of more, the predicted one against the others.
        change: log-odds of the tweet minus those of the baseline; the sum of `scores` up to `error`.
        error: absolute error of the sum.
    """

    scores: tuple[float, ...]
    change: float
    error: float


def attribute(model: OpenELMForSequenceClassification, ids: Sequence[int], steps: int = STEPS) -> Attribution:
    """Compute integrated gradients. The baseline has equal length and repeats the first token, BOS.

    Args:
        model: a differentiable model, as from `load_differentiable`.
        ids: T token ids.
        steps: number of steps of the integral.

    Raises:
        ValueError: captum is not installed.
    """
    try:
        from captum.attr import LayerIntegratedGradients
    except ImportError as error:
        raise ValueError("token attributions need captum; install it with `pip install captum`") from error

    device = next(model.parameters()).device
    tweet = torch.tensor([list(ids)], device=device)
    with torch.no_grad():
        predicted = int(model(input_ids=tweet, use_cache=False).logits[0].argmax())

    def log_odds(tokens: Tensor) -> Tensor:
        logits: Tensor = model(input_ids=tokens, use_cache=False).logits
        return _log_odds(logits, logits.shape[1] - 1 if logits.shape[1] == 2 else predicted)

    start = torch.full_like(tweet, ids[0])
    method = LayerIntegratedGradients(log_odds, model.transformer.token_embeddings)
    found, error_ = method.attribute(
        tweet, baselines=start, n_steps=steps, internal_batch_size=steps, return_convergence_delta=True
    )
    with torch.no_grad():
        change = log_odds(tweet) - log_odds(start)
    scores = found.sum(dim=-1)[0]
    return Attribution(scores=tuple(scores.tolist()), change=float(change), error=float(error_.abs().max()))


def _log_odds(logits: Tensor, label: int) -> Tensor:
    """Log-odds (B,) of a label against all others, from logits (B, K)."""
    others = [other for other in range(logits.shape[1]) if other != label]
    return logits[:, label] - logits[:, others].logsumexp(dim=1)


@dataclass(frozen=True, kw_only=True)
class Attributed:
    """The attribution of one tweet of the final split. `pieces` are its tokens as text, for printing only."""

    row: int
    pieces: tuple[str, ...]
    attribution: Attribution


def load_differentiable(folder: Path) -> tuple[OpenELMForSequenceClassification, Encoder]:
    """Load a checkpoint in float32 without inference optimizations, which `Predictor` applies."""
    model = load_weights(OpenELMForSequenceClassification, folder)
    model.train(False)
    return model, Encoder.load(folder)[0]


def attributed(
    model: OpenELMForSequenceClassification, encoder: Encoder, context: ReportContext
) -> list[Attributed]:
    """The attributions of the worst errors."""
    rows = [int(row) for row in worst(context.result, FEW)]
    encoded = encoder.encode([context.dataset[context.final][row]["text"] for row in rows])
    return [
        Attributed(
            row=row,
            pieces=tuple(encoder.tokenizer.id_to_token(i) or "" for i in one.ids),
            attribution=attribute(model, one.ids),
        )
        for row, one in zip(rows, encoded, strict=True)
    ]


def attributions(found: Sequence[Attributed], context: ReportContext) -> Section:
    """A section with positions and scores of the tokens with the largest attributions, without the tokens."""
    rows = []
    for tweet in found:
        one = tweet.attribution
        order = sorted(range(len(one.scores)), key=lambda i: -abs(one.scores[i]))[:STRONGEST]
        rows += [(context.final, tweet.row, i, one.scores[i], one.change, one.error) for i in order]
    label = context.task.positive if context.task.binary else "the predicted label"
    text = (
        f"Contribution of each token to the log-odds of {label}, for the worst errors. "
        f"Method: integrated gradients, {STEPS} steps; the baseline repeats the first token. Position 0 is "
        "the first token (BOS). `--show-text` prints the tokens.",
    )
    columns = ("split", "row", "position", "moved the log-odds by", "all tokens together", "error of the sum")
    return Section(
        title="Tokens behind the worst errors", text=text, tables=(Table(columns=columns, rows=tuple(rows)),)
    )
