"""Which tokens of a tweet made the verdict: integrated gradients over the embedding layer.

Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks; captum's implementation.

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
    """Scores (T,) of a tweet's tokens: how much each moved the log-odds of the positive label.

    They sum to `change`, the log-odds less those of a tweet of the first token alone, up to `error`.
    """

    scores: tuple[float, ...]
    change: float
    error: float


def attribute(model: OpenELMForSequenceClassification, ids: Sequence[int], steps: int = STEPS) -> Attribution:
    """Integrate from a tweet as long, of nothing but its first token (BOS), to the tweet.

    Args:
        model: not laid out for inference alone: gradients must flow.
        ids: T tokens.
        steps: of the integral.
    """
    try:
        from captum.attr import LayerIntegratedGradients
    except ImportError as error:
        raise ValueError("token attributions need captum: `pip install captum`") from error

    def log_odds(tokens: Tensor) -> Tensor:
        logits: Tensor = model(input_ids=tokens, use_cache=False).logits
        return logits[:, -1] - logits[:, 0]

    device = next(model.parameters()).device
    tweet = torch.tensor([list(ids)], device=device)
    start = torch.full_like(tweet, ids[0])
    method = LayerIntegratedGradients(log_odds, model.transformer.token_embeddings)
    found, error_ = method.attribute(
        tweet, baselines=start, n_steps=steps, internal_batch_size=steps, return_convergence_delta=True
    )
    with torch.no_grad():
        change = log_odds(tweet) - log_odds(start)
    scores = found.sum(dim=-1)[0]
    return Attribution(scores=tuple(scores.tolist()), change=float(change), error=float(error_.abs().max()))


@dataclass(frozen=True, kw_only=True)
class Attributed:
    """One tweet of the final split. `pieces` are its tokens as text: to be printed, never kept."""

    row: int
    pieces: tuple[str, ...]
    attribution: Attribution


def load_differentiable(folder: Path) -> tuple[OpenELMForSequenceClassification, Encoder]:
    """A checkpoint in float32, laid out as trained: what `Predictor` loads may be for inference alone."""
    model = load_weights(OpenELMForSequenceClassification, folder)
    model.train(False)
    return model, Encoder.load(folder)[0]


def attributed(
    model: OpenELMForSequenceClassification, encoder: Encoder, context: ReportContext
) -> list[Attributed]:
    """The few worst errors, explained."""
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
    """Positions and scores of the tokens that counted most; never the tokens."""
    rows = []
    for tweet in found:
        one = tweet.attribution
        order = sorted(range(len(one.scores)), key=lambda i: -abs(one.scores[i]))[:STRONGEST]
        rows += [(context.final, tweet.row, i, one.scores[i], one.change, one.error) for i in order]
    text = (
        f"How much each token of the worst errors moved the log-odds of {context.task.positive}: integrated "
        f"gradients from a tweet of first tokens only, {STEPS} steps. Position 0 is the first token (BOS); "
        "`--show-text` prints the tokens.",
    )
    columns = ("split", "row", "position", "moved the log-odds by", "all tokens together", "error of the sum")
    return Section(
        title="Tokens behind the worst errors", text=text, tables=(Table(columns=columns, rows=tuple(rows)),)
    )
