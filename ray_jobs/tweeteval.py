"""`python -m ray_jobs.tweeteval`: trains and scores every TweetEval task in a folder, resumably.

Each task is trained with several seeds. The result is the benchmark's table with the published systems and
this model.
"""

import dataclasses
from pathlib import Path
from typing import Any

from ray_jobs import seeds
from ray_jobs.cli import USUAL, refuse
from ray_jobs.cli import run as run_job
from ray_jobs.run_dir import check_typed_name
from ray_jobs.training.preflight import check_out, with_data
from tweetelm.cli import command
from tweetelm.config.text_config import TextConfig
from tweetelm.config.train_config import (
    DataConfig,
    LoopConfig,
    ModelConfig,
    OptimConfig,
    PretrainConfig,
    RunConfig,
    TrackingConfig,
    TrainConfig,
    check_effects,
)
from tweetelm.evaluation.report.document import Cell, Document, Section, Table
from tweetelm.evaluation.report.markdown import render_markdown
from tweetelm.files import atomic
from tweetelm.files.paths import located
from tweetelm.tasks import HATE, Task, find_task, metric_name

TASK_FILES = Path(__file__).resolve().parents[1] / "examples" / "tweeteval"
_ADVICE = (
    "expected folders such as emotion and irony: type `git clone https://github.com/cardiffnlp/tweeteval` "
    "and --data.root tweeteval/datasets"
)
MEASURED = "measured"  # the source of our own baselines
Scores = dict[str, dict[str, dict[str, Any]]]
"""By split and score: the statistics over seeds, see `seeds.spreads`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Train and score every TweetEval task in a folder with several seeds, and write the benchmark's table.

    Nothing is published. Run the same command again to resume.
    """

    name: str = "tweeteval"
    """Prefix of all run names."""
    tasks: tuple[Task, ...] = ()
    """Tasks, by name or task file. Default: hate and the files of examples/tweeteval."""
    seeds: int = 3
    """Number of seeds: 0, 1, 2, …"""
    out: Path = Path("tweeteval.md")
    """File for the table, written after each task."""
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    text: TextConfig = dataclasses.field(default_factory=TextConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    pretrain: PretrainConfig = dataclasses.field(default_factory=PretrainConfig)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)
    loop: LoopConfig = dataclasses.field(default_factory=LoopConfig)
    run: RunConfig = dataclasses.field(default_factory=RunConfig)
    tracking: TrackingConfig = dataclasses.field(default_factory=TrackingConfig)


def main() -> int:
    """Run the command; returns the exit status."""
    with refuse():
        arguments = command.parse(Arguments, module="ray_jobs.tweeteval", usual=USUAL)
        return tweeteval(arguments)


def tweeteval(arguments: Arguments) -> int:
    """Train the tasks that are there, one after another; returns the exit status."""
    check_typed_name(arguments.name)
    out = arguments.out.expanduser()
    check_out(str(out.parent), "--out")
    tasks = arguments.tasks or benchmark_tasks()
    runs = _runs(arguments, tasks)
    results: dict[str, Scores] = {}
    notices: list[str] = []
    for config in runs:
        print(f"\n{config.task.name}: {config.task.question}", flush=True)
        results[config.task.name], found = seeds.train_seeds(config, arguments.seeds, least=1)
        notices = list(dict.fromkeys(notices + found))
        page = render_markdown(benchmark_page(tasks, results, arguments.model.name, notices))
        atomic.write_text(out, page)
    print(f"\n{page}\nthe table is in {out}")
    return 0


def benchmark_tasks() -> tuple[Task, ...]:
    """The benchmark's tasks, by name: hate is built in, the others are files of the checkout.

    Raises:
        FileNotFoundError: the files are not there.
    """
    files = sorted(TASK_FILES.glob("*.toml"))
    if not files:
        raise FileNotFoundError(
            f"{TASK_FILES} has no task file; expected a checkout of the repository, or --tasks"
        )
    return tuple(sorted((HATE, *(find_task(str(file)) for file in files)), key=lambda task: task.name))


def _runs(arguments: Arguments, tasks: tuple[Task, ...]) -> list[TrainConfig]:
    """The configurations of the tasks whose data is there; their data is read once before any training."""
    runs = with_data([_config(arguments, task) for task in tasks], _ADVICE)
    for config in runs:
        check_effects(config)
    return runs


def _config(arguments: Arguments, task: Task) -> TrainConfig:
    """The configuration of a task. The folder `data` is that of all tasks here, not only of built-in ones.
    There is no teacher: it would be of one task."""
    names = [
        field.name
        for field in dataclasses.fields(TrainConfig)
        if field.name not in ("task", "name", "distill")
    ]
    sections = {name: getattr(arguments, name) for name in names}
    if task.data and arguments.data.root == DataConfig().root:
        sections["data"] = dataclasses.replace(arguments.data, root=located(arguments.data.root))
    return TrainConfig(task=task, name=f"{arguments.name}-{task.name}", **sections)


def benchmark_page(
    tasks: tuple[Task, ...], results: dict[str, Scores], model: str, notices: list[str]
) -> Document:
    """The benchmark's table, and one of the trained tasks.

    Args:
        tasks: the tasks, one column each.
        results: by task, the scores over seeds of those that were trained.
        model: the name or folder of this model.
        notices: of its runs.
    """
    text = (
        "Scores on test, each by the task's headline metric. In brackets: the 95 % interval of the mean over "
        "seeds. Mean: over the tasks with a score in this row. Mean of trained tasks: over the tasks that "
        "this model was trained for.",
    )
    sections = (
        Section(title="Benchmark", text=text, tables=(_benchmark(tasks, results, model),)),
        Section(title="Tasks", tables=(_trained(tasks, results),)),
    )
    return Document(title="TweetEval", notices=tuple(notices), sections=sections)


def _benchmark(tasks: tuple[Task, ...], results: dict[str, Scores], model: str) -> Table:
    rows = [(f"→ {model.rstrip('/').rsplit('/', 1)[-1]}", *_ours(tasks, results))]
    published = {
        task.name: {each.system: each.value for each in task.published if each.source != MEASURED}
        for task in tasks
    }
    for system in dict.fromkeys(system for found in published.values() for system in found):
        values = {task: found[system] for task, found in published.items() if system in found}
        same = [values[task] for task in results if task in values]
        cells = [values.get(task.name) for task in tasks]
        rows.append(
            (system, *cells, _mean(list(values.values())), len(values),
             _mean(same) if len(same) == len(results) else None)
        )  # fmt: skip
    return Table(
        columns=("system", *(task.name for task in tasks), "mean", "tasks", "mean of trained tasks"),
        rows=tuple(rows),
    )


def _ours(tasks: tuple[Task, ...], results: dict[str, Scores]) -> tuple[Cell, ...]:
    """This model's cells: the tasks, their mean, their number, and the mean again."""
    metrics = {task.name: task.metric for task in tasks}
    scores = {name: found["test"][metrics[name]] for name, found in results.items()}
    by_seed = zip(*(found["values"] for found in scores.values()), strict=True)
    mean = seeds.mean_cell(seeds.spread_of([_mean(list(values)) for values in by_seed]))
    cells = [seeds.mean_cell(scores[task.name]) if task.name in scores else None for task in tasks]
    return (*cells, mean, len(scores), mean)


def _trained(tasks: tuple[Task, ...], results: dict[str, Scores]) -> Table:
    rows = tuple(
        (
            task.name,
            metric_name(task.metric),
            *(seeds.mean_cell(results[task.name][split][task.metric]) for split in ("validation", "test")),
            len(results[task.name]["test"][task.metric]["values"]),
        )
        for task in tasks
        if task.name in results
    )
    return Table(columns=("task", "metric", "validation", "test", "seeds"), rows=rows)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    run_job(main)
