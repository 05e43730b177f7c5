"""`python -m ray_jobs.evaluate --task hate`: the whole report of a published version, or of a checkpoint."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ray_jobs.cli import refuse
from ray_jobs.cli import run as run_job
from tweetelm.cli import command
from tweetelm.tasks import TASKS, Task, TaskName

if TYPE_CHECKING:
    from tweetelm.evaluation.attribution import Attributed
    from tweetelm.evaluation.report.context import ReportContext, Rival
    from tweetelm.evaluation.report.document import Section
    from tweetelm.predictor import Predictor
    from tweetelm.registry.card import Card


_CHECKPOINT = ("*.json", "model*.safetensors")  # not the optimizer's state, which is twice as large


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Evaluate a model: metrics, report (HTML, Markdown, JSON) and one prediction per row, in a folder.

    Published versions never change, so the folder is your own.
    """

    task: TaskName
    version: str | None = None
    """A published version; by default the one that is served."""
    checkpoint: str | None = None
    """A checkpoint's folder or URL instead of a published version."""
    against: str | None = None
    """Another published version of the task, learned from the same data, to compare with tweet by tweet."""
    registry: str = "models"
    """Folder or URL of published models."""
    data: str = "data"
    """Folder that `dvc pull` fills, a URL of its copy, or `sample` for the embedded synthetic sample."""
    out: Path | None = None
    """Folder for the report; by default evaluation-<version>."""
    precision: Literal["auto", "bf16", "float32"] = "float32"
    """float32 gives the numbers that publishing recorded."""
    probes: bool = True
    """Also ask the model itself, which takes longer: behavior on cases of ours, disguised tweets, the tokens
    behind its worst errors."""
    show_text: bool = False
    """Print the worst errors' tweets to the terminal. They are written nowhere."""


def main() -> int:
    """Command line."""
    with refuse():
        arguments = command.parse(Arguments, module="ray_jobs.evaluate")
        return evaluate(arguments)


def evaluate(arguments: Arguments) -> int:
    """Score, write, and print. Returns the exit status."""
    from transformers.utils.logging import disable_progress_bar

    from tweetelm.evaluation.report.write import write

    disable_progress_bar()
    task, folder = TASKS[arguments.task], _folder(arguments)
    predictor = _predictor(task, folder, arguments)
    out = _out(arguments, folder, predictor.version)
    with _writing(out):
        evidence = gather(predictor, folder, arguments)
        print(evidence.evaluation.summary(), flush=True)
        attributed = _attributed(folder, evidence) if arguments.probes else []
        write(evidence, out, _probes(predictor, attributed, evidence) if arguments.probes else ())
    if arguments.show_text:
        _print_worst(evidence, attributed)
    print(
        f"report in {out}/report.html (.md, .json), metrics in {out}/metrics.json, "
        "one prediction per row beside them"
    )
    return 0


def _out(arguments: Arguments, folder: Path, version: str | None) -> Path:
    """Where the report goes."""
    from tweetelm.files.paths import expanded

    if arguments.out is not None:
        return Path(expanded(str(arguments.out)))
    return Path(f"evaluation-{version or _last(arguments, folder)}")


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Be the only command that writes to a folder, which can be written."""
    from ray_jobs.locks.run_lock import BusyError, locked_folder

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked_folder(str(out), "the report"))
        except BusyError as busy:
            raise ValueError(f"{busy}; or write elsewhere with --out FOLDER") from busy
        except OSError as error:
            raise OSError(f"cannot write {out} ({error}); choose another folder with --out") from error
        yield


def _predictor(task: Task, folder: Path, arguments: Arguments) -> "Predictor":
    from tweetelm.precision import use_fast_float32
    from tweetelm.predictor import Predictor

    predictor = Predictor.load(folder, precision=arguments.precision)
    if predictor.task != task:
        raise ValueError(
            f"{folder} answers {predictor.task.name!r}, not {task.name!r}; use --task {predictor.task.name}"
        )
    use_fast_float32(predictor.model)
    return predictor


def gather(predictor: "Predictor", folder: Path, arguments: Arguments) -> "ReportContext":
    """Predict the splits with the model of `folder`, and read what the report says beside that.

    Raises:
        FileNotFoundError: data or the version to compare with are not there.
        ValueError: the other version learned from other data.
    """
    from tweetelm.data import hold_out, load, provenance
    from tweetelm.evaluation import evaluate as evaluation
    from tweetelm.evaluation.report.context import ReportContext

    task, card = predictor.task, _card(folder)
    rule = card.config.get("data", {}).get("hold_out") if card else None
    dataset, source = hold_out(load(task, arguments.data), rule), provenance(task, arguments.data)
    rival = _rival(arguments, task, source.md5, len(dataset["test"]))  # refuses before anything is predicted
    return ReportContext(
        evaluation=evaluation.evaluate(predictor, dataset, [name for name in dataset if name != "train"]),
        dataset=dataset,
        provenance=source,
        card=card,
        rival=rival,
    )


def _folder(arguments: Arguments) -> Path:
    from tweetelm.files.download_cache import cached
    from tweetelm.files.paths import expanded, is_url
    from tweetelm.registry import resolve

    if arguments.checkpoint is not None:
        url = is_url(arguments.checkpoint)
        return cached(arguments.checkpoint, _CHECKPOINT) if url else Path(expanded(arguments.checkpoint))
    return resolve(arguments.task, registry=arguments.registry, version=arguments.version)


def _last(arguments: Arguments, folder: Path) -> str:
    """The last part of what was named, which a fetched copy does not have."""
    return Path(arguments.checkpoint or folder).name


def _card(folder: Path) -> "Card | None":
    """A checkpoint that was never published has none."""
    from tweetelm.registry.card import Card

    file = folder / "card.json"
    return Card.read(file.read_bytes(), str(file)) if file.is_file() else None


def _rival(arguments: Arguments, task: Task, md5: str, rows: int) -> "Rival | None":
    """The other version's stored predictions of the same test rows."""
    from tweetelm.evaluation.report.context import Rival
    from tweetelm.evaluation.report.predictions import read_predictions
    from tweetelm.registry import read_card, resolve

    version = arguments.against
    if version is None:
        return None
    trained_on = read_card(task.name, registry=arguments.registry, version=version).data["md5"]
    if trained_on != md5:
        raise ValueError(
            f"{task.name}/{version} was evaluated on data with md5 {trained_on}, but {arguments.data} "
            f"has md5 {md5}: their rows cannot be compared; pass that data with --data, or another version"
        )
    folder = resolve(task.name, registry=arguments.registry, version=version)
    return Rival(version=version, predictions=read_predictions(folder / "evaluation", "test", task, rows))


def _attributed(folder: Path, evidence: "ReportContext") -> "list[Attributed]":
    from tweetelm.evaluation.attribution import attributed, load_differentiable

    model, encoder = load_differentiable(folder)
    return attributed(model, encoder, evidence)


def _probes(predictor: "Predictor", found: "list[Attributed]", evidence: "ReportContext") -> "list[Section]":
    """Sections that need the model itself."""
    from tweetelm.evaluation.attribution import attributions
    from tweetelm.evaluation.behavior.suite import behavior
    from tweetelm.evaluation.robustness.evasion import evasion

    texts = list(evidence.dataset[evidence.final]["text"])
    sections = [behavior(predictor, texts), evasion(predictor, texts, evidence.result.labels)]
    return [*sections, attributions(found, evidence)] if found else sections


def _print_worst(evidence: "ReportContext", found: "list[Attributed]") -> None:
    """The tweets themselves, to the terminal only."""
    from tweetelm.evaluation.report.sections.errors import worst

    split, labels = evidence.result, evidence.task.labels
    for row in worst(split):
        told, p = labels[split.predicted[row]], split.probabilities[row, split.predicted[row]]
        print(f"{evidence.final} {row}: {labels[split.labels[row]]}, told {told} ({p:.3f})")
        print(f"    {evidence.dataset[evidence.final][int(row)]['text']}")
    for one in found:
        pieces = zip(one.pieces, one.attribution.scores, strict=True)
        print(f"{evidence.final} {one.row}: " + " ".join(f"{piece}({score:+.2f})" for piece, score in pieces))


if __name__ == "__main__":
    run_job(main)
