"""Classifies the remaining fragments of a plan on Ray Data, and writes the summary."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import ray
import ray.data

from ray_jobs.archive.plan import Plan, file_entries
from ray_jobs.archive.progress import Progress
from ray_jobs.archive.shared_cache import SharedCache
from ray_jobs.archive.workers import ClassifyFragments, Gpu, Model, Pool, pool
from ray_jobs.cluster.connect import connect
from tweetelm.archive.summary import summary_data, summary_lines
from tweetelm.archive.tally import Tally

WEIGHTS = "model*.safetensors"


def classify(
    plan: Plan, model: Model, folder: Path, *, gpu: Gpu, cpus: int | None, workers: int | None
) -> None:
    """Classify what remains, write summary.json and print the summary.

    Raises:
        ValueError: the input has changed, or no worker fits on this machine.
        OSError: a file cannot be read or written.
    """
    total, done = plan.done, plan.done.rows + plan.done.refused_rows
    if done:
        print(f"continuing: {done:,} of {plan.rows():,} rows are done", flush=True)
    progress = Progress(plan.rows(), done)
    if plan.remaining:
        weights = sum(path.stat().st_size for path in folder.glob(WEIGHTS))
        actors = pool(connect(), weights, len(plan.remaining), gpu=gpu, cpus=cpus, workers=workers)
        for tally in _tallies(plan, model, actors):
            total.add(tally)
            progress.add(tally.rows + tally.refused_rows, tally.wall_s)
    _finish(plan, total, progress.speed)


def _tallies(plan: Plan, model: Model, actors: Pool) -> Iterator[Tally]:
    """The counts of each fragment, as soon as it is complete."""
    _quiet()
    data = ray.data.from_items(list(plan.remaining), override_num_blocks=len(plan.remaining))
    cache = SharedCache(len(plan.results.settings.labels))
    outcomes = data.map_batches(
        ClassifyFragments,
        fn_constructor_kwargs={"model": model, "results": plan.results, "pool": actors, "cache": cache},
        batch_size=1,
        batch_format="numpy",
        num_cpus=actors.cpus,
        num_gpus=actors.gpus,
        compute=ray.data.ActorPoolStrategy(
            min_size=1, max_size=actors.size, initial_size=actors.size, max_tasks_in_flight_per_actor=2
        ),
    )
    for row in outcomes.iter_rows():
        outcome = json.loads(row["outcome"])
        if "error" in outcome:
            raise ValueError(outcome["error"])
        yield Tally.from_json(outcome["counts"])


def _quiet() -> None:
    """Turn off Ray Data's own progress bars and logs; they go to a file of Ray's session."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def _finish(plan: Plan, total: Tally, speed: float) -> None:
    results = plan.results
    results.remove_temporaries()
    data = summary_data(total, results.settings, file_entries(plan), speed)
    results.write("summary.json", (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())
    for line in summary_lines(total, results.settings, speed):
        print(line)
    print(f"rows in {results.folder}/rows, summary in {results.folder}/summary.json", flush=True)
