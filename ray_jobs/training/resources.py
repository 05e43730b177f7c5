"""What runs take of a machine or a cluster: workers, GPUs, CPUs, and how many fit at once."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import ray.train

from ray_jobs.cluster.connect import Resources
from ray_jobs.fault_tolerance.elastic import RESIZE_EVERY_S, TRIES
from tweetelm.config.train_config import TrainConfig


def on_gpu(config: TrainConfig, resources: Resources) -> bool:
    """Whether workers get a GPU each."""
    return config.run.gpu == "yes" or (config.run.gpu == "auto" and resources.gpus > 0)


def cpus_per_worker(config: TrainConfig, resources: Resources) -> int:
    """CPUs of one worker: an equal share on this machine, one elsewhere or beside a GPU."""
    if config.run.cpus is not None:
        return config.run.cpus
    if not resources.local or on_gpu(config, resources):
        return 1
    return max(1, resources.cpus // config.run.workers)


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """What Ray Train is asked for.

    Attributes:
        scaling: number of workers, and CPUs and GPUs of each.
        cpus: CPUs, and threads, of each worker.
        start_attempts: how often starting the workers may fail. Workers of an elastic run may fail to start
            because a machine left at that moment.
        waiting: what the run waits for on a cluster that is too small now; empty if nothing.
    """

    scaling: ray.train.ScalingConfig
    cpus: int
    start_attempts: int
    waiting: str


def reserve(config: TrainConfig, resources: Resources) -> Reservation:
    """Resources of a run.

    Raises:
        ValueError: this machine is too small. (A cluster may grow, so there nothing is refused.)
    """
    max_concurrent(config, resources)
    run, gpu, cpus = config.run, on_gpu(config, resources), cpus_per_worker(config, resources)
    number: Any = (run.required_workers, run.workers) if elastic(config) else run.workers
    return Reservation(
        scaling=ray.train.ScalingConfig(  # type: ignore[call-arg]  # typed as V1, is V2
            num_workers=number,
            use_gpu=gpu,
            resources_per_worker={"CPU": cpus} | ({"GPU": 1} if gpu else {}),
            elastic_resize_monitor_interval_s=RESIZE_EVERY_S,
        ),
        cpus=cpus,
        start_attempts=TRIES if elastic(config) else 3,
        waiting=_waiting_message(config, resources),
    )


def elastic(config: TrainConfig) -> bool:
    """Whether the number of workers may change."""
    return config.run.required_workers < config.run.workers


def _waiting_message(config: TrainConfig, resources: Resources) -> str:
    """What a run on a cluster waits for before it starts, or nothing."""
    kind, have, each = _needs(config, resources)
    if resources.local or have >= config.run.required_workers * each:
        return ""
    fits = max(have // each, 1)
    flags = f"--run.workers {fits}" if config.run.min_workers is None else f"--run.min-workers {fits}"
    return (
        f"waiting for {config.run.required_workers * each} {kind}s; the cluster has {have} now. If nothing "
        f"adds to it, stop this and use {flags}"
    )


def _needs(config: TrainConfig, resources: Resources) -> tuple[str, int, int]:
    """What a run is short of first, GPUs or CPUs, how many there are, and how many a worker takes."""
    if on_gpu(config, resources):
        return "GPU", resources.gpus, 1
    return "CPU", resources.cpus, config.run.cpus or 1


def max_concurrent(config: TrainConfig, resources: Resources) -> int:
    """How many such runs fit at once, each with all of its workers if it may have fewer.

    Raises:
        ValueError: not even one does.
    """
    kind, have, each = _needs(config, resources)
    run = config.run
    if have < run.required_workers * each and resources.local:
        least = " at least" if elastic(config) else ""
        raise ValueError(
            f"one run takes{least} {run.required_workers} workers x {each} {kind} = "
            f"{run.required_workers * each} {kind}s, but this machine has {have}; use "
            f"--run.workers {max(have, 1)} --run.cpus 1, or a larger cluster (RAY_ADDRESS)"
        )
    return max(have // (run.workers * each), 1)


def share_cpus(config: TrainConfig, concurrent: int, resources: Resources) -> TrainConfig:
    """This machine's CPUs shared among so many runs at once, unless the configuration says how many a worker
    gets."""
    if not resources.local or config.run.cpus is not None or on_gpu(config, resources):
        return config
    cpus = max(1, resources.cpus // (concurrent * config.run.workers))
    return dataclasses.replace(config, run=dataclasses.replace(config.run, cpus=cpus))
