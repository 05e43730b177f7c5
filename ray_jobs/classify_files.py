"""`python -m ray_jobs.classify_files archive/*.csv.gz --task hate --out labelled`: classifies files of any
size.

Running the same command again completes an interrupted one.
"""

import time
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from ray_jobs.cli import refuse
from ray_jobs.cli import run as run_job
from ray_jobs.locks.run_lock import BusyError, locked_folder
from tweetelm.archive.added_columns import added_names
from tweetelm.archive.fragments import CutFile, cut
from tweetelm.archive.inputs import InputFile, find_inputs
from tweetelm.archive.result_set import ResultSet, Settings
from tweetelm.cli import command
from tweetelm.files.paths import located
from tweetelm.registry import Card, read_card
from tweetelm.tasks import task_name

RESUMES = "run the same command again to continue"
SLOW_S = 5.0  # reading for longer is announced


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Classify files: CSV, TSV, JSON lines, Parquet or plain text, also compressed (.gz, .zst, .bz2).

    The results have all columns that came, in the order of the rows, and the label, the probability of each
    label, the version and whether the text was truncated. Run the same command again to complete an
    interrupted one.
    """

    inputs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IN …")]
    """Files, folders, globs or URLs."""
    task: str
    """hate, deepfake, another task of the registry, or the TOML file of a task of your own."""
    out: str
    """Folder or URL for the results. Each model and each group of settings gets its own folder in it."""
    version: str | None = None
    """Published version. Default: the current one."""
    registry: str = "models"
    """Folder or URL of the model registry."""
    text: str = "text"
    """Name of the column with the text."""
    format: Literal["parquet", "csv", "jsonl"] = "parquet"
    """Format of the results."""
    prefix: str = ""
    """Prefix of the added columns, if the input has columns of the same name."""
    fragment_rows: int = 5000
    """Rows per fragment. An interrupted command repeats at most one fragment per worker."""
    precision: Literal["auto", "int8", "bf16", "float32"] = "auto"
    """Precision of the model. auto: bfloat16 for a large model if the hardware supports it. int8: on CPUs, if
    a self-check at load agrees."""
    gpu: Literal["auto", "yes", "no"] = "auto"
    """Give each worker a GPU. auto: if the cluster has one."""
    cpus: int | None = None
    """CPUs per worker. Default: 1, or 4 for a large model without a GPU."""
    workers: int | None = None
    """Maximum number of workers. Default: as many as fit on the machine or the cluster."""
    answers: int | None = None
    """Results kept for texts that come again, for all workers. Default: as many as 512 MiB hold. 0: none,
    so that each row is classified."""
    replace: bool = False
    """Remove results of an earlier content of the input files."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise ValueError("no input was named; expected files, folders, globs or URLs before the flags")
        for name in ("fragment_rows", "cpus", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {value}; expected at least 1")
        if self.answers is not None and self.answers < 0:
            raise ValueError(f"--answers is {self.answers}; expected at least 0")


def main() -> int:
    """Run the command; returns the exit status."""
    with refuse(interrupted=RESUMES):
        return classify_files(command.parse(Arguments, module="ray_jobs.classify_files"))


def classify_files(arguments: Arguments) -> int:
    """Classify the files, print progress and the summary. Returns the exit status."""
    from ray_jobs.archive.plan import check_out  # takes a second: it imports pyarrow

    card = read_card(task_name(arguments.task), registry=arguments.registry, version=arguments.version)
    results = ResultSet(located(arguments.out), _settings(arguments, card))
    check_out(results.out, arguments.inputs)
    files = _cut(find_inputs(arguments.inputs), results.settings)
    try:
        with locked_folder(results.folder, "the folder of results"):
            _classify(arguments, results, files)
    except BusyError as busy:
        raise ValueError(f"{busy}; or choose another folder with --out") from busy
    return 0


def _classify(arguments: Arguments, results: ResultSet, files: list[CutFile]) -> None:
    from ray_jobs.archive.job import classify  # takes seconds: it imports Ray and torch
    from ray_jobs.archive.plan import make_plan
    from ray_jobs.archive.workers import Model
    from tweetelm.registry import resolve

    settings, registry = results.settings, located(arguments.registry)
    plan = make_plan(results, files, replace=arguments.replace)
    results.write_settings()
    model = Model(
        registry=registry, task=settings.task, version=settings.version, precision=arguments.precision
    )
    folder = resolve(settings.task, registry=registry, version=settings.version)
    classify(
        plan,
        model,
        folder,
        gpu=arguments.gpu,
        cpus=arguments.cpus,
        workers=arguments.workers,
        answers=arguments.answers,
    )


def _settings(arguments: Arguments, card: Card) -> Settings:
    return Settings(
        task=card.task,
        model=card.content,
        version=card.version,
        labels=tuple(card.labels),
        text=arguments.text,
        prefix=arguments.prefix,
        format=arguments.format,
        fragment_rows=arguments.fragment_rows,
        precision=arguments.precision,
    )


def _cut(inputs: list[InputFile], settings: Settings) -> list[CutFile]:
    """Cut the files into fragments; prints what was found."""
    added = added_names(settings.labels, settings.prefix)
    found, printed = [], time.monotonic()
    for number, file in enumerate(inputs):
        if time.monotonic() > printed + SLOW_S:
            printed = time.monotonic()
            print(f"reading {file.place}, {number + 1} of {len(inputs)} files", flush=True)
        found.append(cut(file, text=settings.text, rows=settings.fragment_rows, added=added))
    fragments = [fragment for file in found for fragment in file.fragments]
    rows = sum(fragment.rows for fragment in fragments)
    print(f"{rows:,} rows, {len(fragments):,} fragments, files: {len(inputs):,}", flush=True)
    return found


if __name__ == "__main__":
    run_job(main)
