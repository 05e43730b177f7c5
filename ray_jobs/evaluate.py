"""`python -m ray_jobs.evaluate --task hate`: evaluates a published version or a checkpoint and writes a
report."""

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
from tweetelm.registry.versions import find_published_task
from tweetelm.tasks import task_name

_CHECKPOINT = ("*.json", "model*.safetensors")  # without the optimizer state, which is twice as large


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Evaluate a model. Writes metrics, a report (HTML, Markdown, JSON) and one prediction per row.

    Published versions are immutable, so the results go to a separate folder.
    """

    task: str
    """hate, deepfake, another task of the registry, or the TOML file of a task of your own."""
    version: str | None = None
    """Published version. Default: the current one."""
    checkpoint: str | None = None
    """Folder or URL of a checkpoint, instead of a published version."""
    against: str | None = None
    """Published version to compare with, tweet by tweet. It must be trained on the same data."""
    against_predictions: tuple[str, ...] = ()
    """Files with another classifier's predicted labels of the test split, to compare with tweet by tweet: one
    label per line, by name or id, in the order of the split. Of a folder, its *.txt files, by name."""
    registry: str = "models"
    """Folder or URL of the model registry."""
    data: str = "data"
    """Folder or URL of the data, or `sample` for the embedded synthetic sample."""
    out: Path | None = None
    """Folder for the report. Default: evaluation-<version>."""
    precision: Literal["auto", "int8", "bf16", "float32"] = "float32"
    """float32 reproduces the metrics recorded when the version was published."""
    probes: bool = True
    """Add behavioral tests, evasion tests and token attributions of the worst errors. Takes longer."""
    show_text: bool = False
    """Print the tweets of the worst errors to the terminal. They are not stored."""


def main() -> int:
    """Run the command; returns the exit status."""
    with refuse():
        arguments = command.parse(Arguments, module="ray_jobs.evaluate")
        return evaluate(arguments)


def evaluate(arguments: Arguments) -> int:
    """Evaluate, write the report, print where it is. Returns the exit status."""

    from tweetelm.evaluation import full_report  # takes seconds: it imports torch

    if arguments.against and arguments.against_predictions:
        raise ValueError(
            f"--against {arguments.against} and --against-predictions were both given; expected one of them: "
            "evaluate twice, the second time with another --out FOLDER"
        )
    task = find_published_task(arguments.task, registry=arguments.registry, version=arguments.version)
    folder = _folder(arguments)
    predictor = full_report.load_predictor(task, folder, arguments.precision)
    out = _out(arguments, folder, predictor.version)
    with _writing(out):
        context = full_report.gather(
            predictor,
            folder,
            data=arguments.data,
            registry=arguments.registry,
            against=arguments.against,
            against_predictions=arguments.against_predictions,
        )
        print(context.evaluation.summary(), flush=True)
        if context.rival:
            print(full_report.comparison_line(context, context.rival), flush=True)
        found = full_report.attribute_worst(folder, context) if arguments.probes else []
        sections = full_report.probe(predictor, found, context) if arguments.probes else ()
        full_report.write(context, out, sections)
    if arguments.show_text:
        full_report.print_worst(context, found)
    print(
        f"report in {out}/report.html (.md, .json), metrics in {out}/metrics.json, "
        "predictions per row in the same folder"
    )
    return 0


def _out(arguments: Arguments, folder: Path, version: str | None) -> Path:
    """Return the folder of the report."""
    if arguments.out is not None:
        return Path(expanded(str(arguments.out)))
    return Path(f"evaluation-{version or _last(arguments, folder)}")


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Hold the lock of the report's folder.

    Raises:
        ValueError: another command writes to the folder.
        OSError: the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked_folder(str(out), "the report"))
        except BusyError as busy:
            raise ValueError(f"{busy}; or choose another folder with --out FOLDER") from busy
        except OSError as error:
            raise OSError(f"cannot write {out} ({error}); choose another folder with --out") from error
        yield


def _folder(arguments: Arguments) -> Path:
    if arguments.checkpoint is not None:
        url = is_url(arguments.checkpoint)
        return cached(arguments.checkpoint, _CHECKPOINT) if url else Path(expanded(arguments.checkpoint))
    return resolve(task_name(arguments.task), registry=arguments.registry, version=arguments.version)


def _last(arguments: Arguments, folder: Path) -> str:
    """Return the last path component of the checkpoint; a downloaded copy has another folder name."""
    return Path(arguments.checkpoint or folder).name


if __name__ == "__main__":
    run_job(main)
