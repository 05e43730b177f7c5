"""Evaluates the best checkpoint of a run and makes its card, ready to publish."""

from dataclasses import asdict, dataclass, replace

from datasets import DatasetDict

from tweetelm.config.train_config import TrainConfig
from tweetelm.evaluation.evaluate import Evaluation, calibrated, evaluate
from tweetelm.evaluation.report.context import ReportContext, Rival
from tweetelm.predictor import Predictor
from tweetelm.registry import make_card
from tweetelm.registry.card import Base, Card, Provenance
from tweetelm.registry.code_version import Git


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A checkpoint with its results.

    Attributes:
        predictor: the model in float32, with the temperature and the threshold of the card.
        evaluation: the results on all splits but train.
        card: lineage and results.
        context: the inputs of the report.
    """

    predictor: Predictor
    evaluation: Evaluation
    card: Card
    context: ReportContext


def evaluate_checkpoint(
    config: TrainConfig,
    predictor: Predictor,
    dataset: DatasetDict,
    *,
    provenance: Provenance,
    base: Base,
    git: Git | None,
    rival: Rival | None = None,
) -> Evaluated:
    """Evaluate a checkpoint on all splits but train, and calibrate it on validation.

    Args:
        config: configuration of the run.
        predictor: the checkpoint, in float32.
        dataset: the task's splits.
        provenance: source files of the dataset.
        base: base model of training, from `tweetelm.registry.base_model.base_of`.
        git: commit of the code; None outside a repository.
        rival: another classifier's predictions of the same test rows, for a paired comparison.
    """
    splits = [name for name in dataset if name != "train"]
    evaluation = calibrated(evaluate(predictor, dataset, splits), dataset, config.run.threshold)
    card = make_card(
        config,
        provenance=provenance,
        base=base,
        metrics=evaluation.metrics,
        git=git,
        threshold=evaluation.threshold,
        temperature=evaluation.temperature,
    )
    context = ReportContext(
        evaluation=evaluation, dataset=dataset, provenance=provenance, card=card, rival=rival
    )
    calibrated_predictor = replace(predictor, card=asdict(card))
    return Evaluated(predictor=calibrated_predictor, evaluation=evaluation, card=card, context=context)
