"""`python -m ray_jobs.reproduce`: runs all experiments on the real data with pretrained models, resumably.

Downloads both datasets and the checkpoints (Apple's two, unless --sizes names others), searches all sizes on
both tasks, trains the winners with several seeds, and writes the results table. Takes hours without a GPU.
"""

import dataclasses
import shlex
from pathlib import Path
from typing import Any, Literal

from ray_jobs import seeds, tune
from ray_jobs.cli import USUAL, refuse
from ray_jobs.cli import run as run_job
from ray_jobs.run_dir import check_typed_name
from ray_jobs.search.trial_results import SearchResult, show
from ray_jobs.training.preflight import check_out, check_places, with_data
from tweetelm.cli import command
from tweetelm.config.text_config import TextConfig
from tweetelm.config.train_config import (
    DataConfig,
    LoopConfig,
    ModelConfig,
    RunConfig,
    TrackingConfig,
    TrainConfig,
)
from tweetelm.evaluation.report.document import Cell, Document, Section, Table
from tweetelm.evaluation.report.markdown import render_markdown
from tweetelm.files import atomic
from tweetelm.tasks import DEEPFAKE, HATE, Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Download data and checkpoints, search, train with several seeds, and write the results table. Run the
    same command again to resume."""

    name: str = "real"
    """Prefix of all run names."""
    tasks: tuple[Task, ...] = (HATE, DEEPFAKE)
    """Tasks, by name or task file."""
    sizes: tuple[str, ...] = ("openelm-270m", "openelm-450m")
    """Model sizes: presets, hub ids, folders or URLs."""
    space: str = "default"
    """Search space for the other settings, see ray_jobs/search/spaces.py."""
    trials: int = 12
    """Trials per search."""
    propose: Literal["random", "optuna"] = "optuna"
    """Search algorithm. optuna: TPE."""
    seeds: int = 3
    """Seeds per winner."""
    tokenizer: str | None = None
    """Tokenizer file, folder, hub id or URL, instead of the checkpoints' tokenizer."""
    max_tokens: int = 256
    """Maximum tokens per tweet; longer tweets are truncated."""
    download: bool = True
    """Download both datasets. --no-download: only run the tasks whose data is there."""
    out: Path = Path("docs/results.md")
    """File for the results table."""
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    text: TextConfig = dataclasses.field(default_factory=TextConfig)
    loop: LoopConfig = dataclasses.field(default_factory=LoopConfig)
    run: RunConfig = dataclasses.field(default_factory=RunConfig)
    tracking: TrackingConfig = dataclasses.field(default_factory=TrackingConfig)


def main() -> int:
    """Run the command; returns the exit status."""
    with refuse():
        arguments = command.parse(Arguments, module="ray_jobs.reproduce", usual=USUAL)
        return real(arguments)


def real(arguments: Arguments) -> int:
    """Run all experiments in order; returns the exit status."""
    check_typed_name(arguments.name)
    check_out(str(arguments.out.expanduser().parent), "--out")
    for task in arguments.tasks:
        check_places(_base(arguments, task))
    tasks = _tasks(arguments)
    _fetch(arguments)
    results = [_one_task(arguments, task) for task in tasks]
    atomic.write_text(arguments.out.expanduser(), results_page(results))
    registry = shlex.quote(arguments.run.registry)
    print(f"\nresults are in {arguments.out}; serve them: python -m serve --registry {registry}")
    return 0


def _fetch(arguments: Arguments) -> None:
    """Download and verify both datasets and all checkpoints before anything is trained."""
    from tweetelm.data.download import pull
    from tweetelm.training.base_model import inspect_base_model

    if arguments.download and arguments.data.root == "data":
        for line in pull(Path.cwd()):
            print(line, flush=True)
    for size in arguments.sizes:
        print(inspect_base_model(size, arguments.tokenizer), flush=True)


def _tasks(arguments: Arguments) -> list[Task]:
    """The tasks to run: with --no-download those whose data is there."""
    if arguments.download:
        return list(arguments.tasks)
    advice = "type `make data` (internet), or name a folder with --data.root"
    return [config.task for config in with_data([_base(arguments, task) for task in arguments.tasks], advice)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskResult:
    """A task's search result, and its winner's scores over several seeds (see `seeds.spreads`)."""

    task: Task
    search: SearchResult
    spread: dict[str, Any]
    notices: list[str]


def _one_task(arguments: Arguments, task: Task) -> TaskResult:
    from ray_jobs.search import job  # takes seconds: it imports Ray and torch

    print(f"\n{task.name}: {task.question}", flush=True)
    base = _base(arguments, task)
    options = tune.Arguments(
        config=base, space=arguments.space, trials=arguments.trials, propose=arguments.propose
    )
    tune.tune(options, job.space_of_sizes(arguments.space, arguments.sizes))
    found, winner = job.find_winner(base)
    winner = dataclasses.replace(winner, name=f"{base.name}-winner")
    spread, notices = seeds.train_seeds(winner, arguments.seeds)
    return TaskResult(task=task, search=found, spread=spread, notices=notices)


def _base(arguments: Arguments, task: Task) -> TrainConfig:
    return TrainConfig(
        task=task,
        name=f"{arguments.name}-{task.name}",
        data=arguments.data,
        text=arguments.text,
        model=ModelConfig(
            name=arguments.sizes[0], tokenizer=arguments.tokenizer, max_tokens=arguments.max_tokens
        ),
        loop=arguments.loop,
        run=arguments.run,
        tracking=arguments.tracking,
    )


def results_page(results: list[TaskResult]) -> str:
    """Return the results as Markdown: the winners beside published systems, and the best trial per size."""
    sections = tuple(
        Section(title=result.task.name, text=_explanation(result), tables=_tables(result))
        for result in results
    )
    notices = tuple(dict.fromkeys(notice for result in results for notice in result.notices))
    return render_markdown(Document(title="Results", notices=notices, sections=sections))


def _explanation(result: TaskResult) -> tuple[str, ...]:
    settings = ", ".join(f"{key} {show(value)}" for key, value in result.search.best.sample.items())
    count = len(result.spread["test"][result.task.metric]["values"])
    return (
        f"{result.task.question} Best of {len(result.search.trials)} trials on validation: "
        f"{settings}. Trained with {count} seeds; intervals are 95% intervals of the mean over seeds.",
    )


def _tables(result: TaskResult) -> tuple[Any, ...]:
    task = result.task

    def cell(split: str) -> Cell:
        return seeds.mean_cell(result.spread[split][task.metric])

    winners: list[tuple[Cell, ...]] = [(f"→ {result.search.best.size}", cell("validation"), cell("test"))]
    published: list[tuple[Cell, ...]] = [(p.system, None, p.value) for p in task.published]
    sizes: list[tuple[Cell, ...]] = []
    for size in dict.fromkeys(trial.size for trial in result.search.trials):
        scores = [t.score for t in result.search.trials if t.size == size and t.score is not None]
        sizes.append((size, max(scores, default=None), result.search.speeds.get(size)))
    columns = ("system", f"validation {task.metric}", f"test {task.metric}")
    return (
        Table(columns=columns, rows=tuple(winners + published)),
        Table(
            columns=("size", f"best validation {task.metric} in the search", "tweets a second"),
            rows=tuple(sizes),
        ),
    )


if __name__ == "__main__":
    run_job(main)
