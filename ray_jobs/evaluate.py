"""`python -m ray_jobs.evaluate --task hate`: the whole report of a published version, or of a checkpoint."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ray_jobs.cli import refuse
from ray_jobs.cli import run as run_job
from ray_jobs.locks.run_lock import BusyError, locked_folder
from tweetelm.cli import command
from tweetelm.files.download_cache import cached
from tweetelm.files.paths import expanded, is_url
from tweetelm.registry import resolve
from tweetelm.tasks import TASKS, TaskName

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
    """Evaluate, write the report, print where it is. Returns the exit status."""
    from tweetelm.evaluation import model_report  # takes seconds: it imports torch

    task, folder = TASKS[arguments.task], _folder(arguments)
    predictor = model_report.load_predictor(task, folder, arguments.precision)
    out = _out(arguments, folder, predictor.version)
    with _writing(out):
        context = model_report.gather(
            predictor,
            folder,
            data=arguments.data,
            registry=arguments.registry,
            against=arguments.against,
        )
        print(context.evaluation.summary(), flush=True)
        found = model_report.attribute_worst(folder, context) if arguments.probes else []
        sections = model_report.probe(predictor, found, context) if arguments.probes else ()
        model_report.write(context, out, sections)
    if arguments.show_text:
        model_report.print_worst(context, found)
    print(
        f"report in {out}/report.html (.md, .json), metrics in {out}/metrics.json, "
        "one prediction per row beside them"
    )
    return 0


def _out(arguments: Arguments, folder: Path, version: str | None) -> Path:
    """Where the report goes."""
    if arguments.out is not None:
        return Path(expanded(str(arguments.out)))
    return Path(f"evaluation-{version or _last(arguments, folder)}")


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Be the only command that writes to a folder, which can be written."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked_folder(str(out), "the report"))
        except BusyError as busy:
            raise ValueError(f"{busy}; or write elsewhere with --out FOLDER") from busy
        except OSError as error:
            raise OSError(f"cannot write {out} ({error}); choose another folder with --out") from error
        yield


def _folder(arguments: Arguments) -> Path:
    if arguments.checkpoint is not None:
        url = is_url(arguments.checkpoint)
        return cached(arguments.checkpoint, _CHECKPOINT) if url else Path(expanded(arguments.checkpoint))
    return resolve(arguments.task, registry=arguments.registry, version=arguments.version)


def _last(arguments: Arguments, folder: Path) -> str:
    """The last part of what was named, which a fetched copy does not have."""
    return Path(arguments.checkpoint or folder).name


if __name__ == "__main__":
    run_job(main)
