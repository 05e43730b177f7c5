"""Runs items through a pool of actors on Ray Data: how many actors fit, and their outcomes as they come."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import ray.data

from ray_jobs.cluster.connect import Resources

Gpu = Literal["auto", "yes", "no"]
LARGE_FILE = 200_000_000  # bytes of weights; one thread per smaller model is fastest
CPUS_OF_LARGE = 4


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The actors.

    Attributes:
        size: their maximum number.
        cpus, gpus: of each.
        tasks: items assigned to an actor at once: the current one and those queued.
    """

    size: int
    cpus: int
    gpus: int
    tasks: int = 2


def pool(
    resources: Resources, weights: int, items: int, *, gpu: Gpu, cpus: int | None, workers: int | None
) -> Pool:
    """The actors for a model with this many bytes of weights: one per GPU, or one per so many CPUs.

    Raises:
        ValueError: not even one actor fits on this machine.
    """
    on_gpu = gpu == "yes" or (gpu == "auto" and resources.gpus > 0)
    large = min(CPUS_OF_LARGE, resources.cpus)
    each = cpus or (1 if on_gpu or weights < LARGE_FILE else large)
    fit = min(resources.gpus, resources.cpus // each) if on_gpu else resources.cpus // each
    if resources.local and fit < 1:
        need = f"{each} CPUs" + (" and a GPU" if on_gpu else "")
        raise ValueError(
            f"a worker needs {need}, but this machine has {resources.cpus} CPUs and {resources.gpus} GPUs; "
            "use --cpus 1 or --gpu no"
        )
    return Pool(size=max(1, min(workers or fit, items)), cpus=each, gpus=int(on_gpu))


def run_on(
    actors: Pool, actor: type, items: Sequence[Any], settings: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the outcome of each item, in any order, as soon as it is complete.

    Args:
        actors: the pool.
        actor: a class whose `__call__` gets a batch with one `item` and returns `outcome` as JSON: an
            object, with `error` for what the user can mend. Ray Data would print a trace for an exception.
        items: what the actors are given.
        settings: keyword arguments of the class.

    Raises:
        ValueError: an actor returned an error.
    """
    _quiet()
    outcomes = ray.data.from_items(list(items), override_num_blocks=len(items)).map_batches(
        actor,
        fn_constructor_kwargs=dict(settings),
        batch_size=1,
        batch_format="numpy",
        num_cpus=actors.cpus,
        num_gpus=actors.gpus,
        compute=ray.data.ActorPoolStrategy(
            min_size=1,
            max_size=actors.size,
            initial_size=actors.size,
            max_tasks_in_flight_per_actor=actors.tasks,
        ),
    )
    for row in outcomes.iter_rows():
        outcome = json.loads(row["outcome"])
        if "error" in outcome:
            raise ValueError(outcome["error"])
        yield outcome


def _quiet() -> None:
    """Turn off Ray Data's own progress bars and logs; they go to a file of Ray's session."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
