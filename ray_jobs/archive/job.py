"""Classifies the remaining fragments of a plan on Ray Data, and writes the summary."""

import json
from collections.abc import Iterator
from pathlib import Path

from ray_jobs.archive.plan import Plan, file_entries
from ray_jobs.archive.shared_cache import SharedCache
from ray_jobs.archive.workers import ClassifyFragments, Model
from ray_jobs.cluster.actor_pool import Gpu, Pool, pool, run_on
from ray_jobs.cluster.connect import connect
from ray_jobs.progress_line import Progress
from tweetelm.archive.summary import summary_data, summary_lines
from tweetelm.archive.tally import Tally
from tweetelm.prediction.result_cache import default_capacity

WEIGHTS = "model*.safetensors"


def classify(
    plan: Plan,
    model: Model,
    folder: Path,
    *,
    gpu: Gpu,
    cpus: int | None,
    workers: int | None,
    answers: int | None,
) -> None:
    """Classify what remains, write summary.json and print the summary.

    The workers share at most `answers` results; 0: none, None: as many as 512 MiB hold.

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
        for tally in _tallies(plan, model, actors, answers):
            total.add(tally)
            progress.add(tally.rows + tally.refused_rows, tally.wall_s)
    _finish(plan, total, progress.speed)


def _tallies(plan: Plan, model: Model, actors: Pool, answers: int | None) -> Iterator[Tally]:
    """The counts of each fragment, as soon as it is complete."""
    capacity = default_capacity(len(plan.results.settings.labels)) if answers is None else answers
    cache = SharedCache(capacity) if capacity else None
    settings = {"model": model, "results": plan.results, "pool": actors, "cache": cache}
    for outcome in run_on(actors, ClassifyFragments, plan.remaining, settings):
        yield Tally.from_json(outcome["counts"])


def _finish(plan: Plan, total: Tally, speed: float) -> None:
    results = plan.results
    results.remove_temporaries()
    data = summary_data(total, results.settings, file_entries(plan), speed)
    results.write("summary.json", (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())
    for line in summary_lines(total, results.settings, speed):
        print(line)
    print(f"rows in {results.folder}/rows, summary in {results.folder}/summary.json", flush=True)
