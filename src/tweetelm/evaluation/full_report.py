"""The report of a model: metrics on the task's data, and sections that need further predictions."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from tweetelm.data import hold_out, load, provenance
from tweetelm.evaluation import evaluate as evaluation
from tweetelm.evaluation.attribution import Attributed, attributed, attributions, load_differentiable
from tweetelm.evaluation.behavior.suite import behavior
from tweetelm.evaluation.report.context import ReportContext, Rival
from tweetelm.evaluation.report.document import Section
from tweetelm.evaluation.report.sections.comparison import comparison_line
from tweetelm.evaluation.report.sections.errors import worst
from tweetelm.evaluation.report.write import write
from tweetelm.evaluation.rivals import rival_of_files, rival_version
from tweetelm.evaluation.robustness.evasion import evasion
from tweetelm.precision import InferencePrecision, use_fast_float32
from tweetelm.predictor import Predictor
from tweetelm.registry.card import Card
from tweetelm.tasks import Task

__all__ = ["attribute_worst", "comparison_line", "gather", "load_predictor", "print_worst", "probe", "write"]


def load_predictor(task: Task, folder: Path, precision: InferencePrecision) -> Predictor:
    """Load the model of a folder.

    Raises:
        ValueError: the model was trained for another task.
    """
    disable_progress_bar()
    predictor = Predictor.load(folder, precision=precision)
    if (predictor.task.name, predictor.labels) != (task.name, task.labels):
        raise ValueError(
            f"{folder} is a model of task {predictor.task.name!r} with labels {', '.join(predictor.labels)}; "
            f"expected {task.name!r} with {', '.join(task.labels)}; use its --task"
        )
    use_fast_float32(predictor.model)
    return dataclasses.replace(predictor, task=task)  # with its files


def gather(
    predictor: Predictor,
    folder: Path,
    *,
    data: str,
    registry: str,
    against: str | None = None,
    against_predictions: Sequence[str] = (),
) -> ReportContext:
    """Predict all splits except train, and read the other inputs of the report.

    Args:
        predictor: the model.
        folder: the model's folder.
        data: the value of `--data`.
        registry: folder or URL of published models.
        against: another published version for a paired comparison.
        against_predictions: instead, files with another classifier's labels, see `find_label_files`.

    Raises:
        FileNotFoundError: the data, the other version or a file do not exist.
        ValueError: the other version was evaluated on other data, or a file does not fit the test split.
    """
    task, card = predictor.task, _card(folder)
    rule = card.config.get("data", {}).get("hold_out") if card else None
    dataset, source = hold_out(load(task, data), rule), provenance(task, data)
    # before the predictions, because it may raise
    if against_predictions:
        rival: Rival | None = rival_of_files(against_predictions, task, dataset["test"])
    else:
        rival = rival_version(against, registry, data, task, source.md5, len(dataset["test"]))
    return ReportContext(
        evaluation=evaluation.evaluate(predictor, dataset, [name for name in dataset if name != "train"]),
        dataset=dataset,
        provenance=source,
        card=card,
        rival=rival,
    )


def _card(folder: Path) -> Card | None:
    """The card of a published version; None for a checkpoint that was not published."""
    file = folder / "card.json"
    return Card.read(file.read_bytes(), str(file)) if file.is_file() else None


def attribute_worst(folder: Path, context: ReportContext) -> list[Attributed]:
    """Token attributions of the worst errors."""
    model, encoder = load_differentiable(folder)
    return attributed(model, encoder, context)


def probe(predictor: Predictor, found: list[Attributed], context: ReportContext) -> list[Section]:
    """Report sections that need further predictions: behavior, evasion, token attributions."""
    texts = list(context.dataset[context.final]["text"])
    sections = []
    if context.task.suite:
        sections = [behavior(predictor, texts), evasion(predictor, texts, context.result.labels)]
    return [*sections, attributions(found, context)] if found else sections


def print_worst(context: ReportContext, found: list[Attributed]) -> None:
    """Print the texts of the worst errors. Texts are never written to files."""
    split, labels = context.result, context.task.labels
    for row in worst(split):
        predicted, p = labels[split.predicted[row]], split.probabilities[row, split.predicted[row]]
        print(f"{context.final} {row}: {labels[split.labels[row]]}, predicted {predicted} ({p:.3f})")
        print(f"    {context.dataset[context.final][int(row)]['text']}")
    for one in found:
        pieces = zip(one.pieces, one.attribution.scores, strict=True)
        print(f"{context.final} {one.row}: " + " ".join(f"{piece}({score:+.2f})" for piece, score in pieces))
