"""Resources of runs: workers, GPUs and CPUs, and how many runs fit at once."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import ray.train

from ray_jobs.cluster.connect import Resources
from ray_jobs.fault_tolerance.elastic import RESIZE_EVERY_S, TRIES
from tweetelm.config.train_config import TrainConfig


def on_gpu(config: TrainConfig, resources: Resources) -> bool:
    """Return whether each worker gets a GPU."""
    return config.run.gpu == "yes" or (config.run.gpu == "auto" and resources.gpus > 0)


def cpus_per_worker(config: TrainConfig, resources: Resources) -> int:
    """Return the CPUs per worker: an equal share of this machine; 1 on a cluster or with a GPU."""
    if config.run.cpus is not None:
        return config.run.cpus
    if not resources.local or on_gpu(config, resources):
        return 1
    return max(1, resources.cpus // config.run.workers)


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """The resources that a run requests from Ray Train.

    Attributes:
        scaling: Number of workers, and CPUs and GPUs per worker.
        cpus: CPUs and threads per worker.
        start_attempts: Maximum attempts to start the workers; in elastic runs, a machine may be lost
            meanwhile.
        waiting: Message about missing resources on a cluster; "" if the run can start.
    """

    scaling: ray.train.ScalingConfig
    cpus: int
    start_attempts: int
    waiting: str


def reserve(config: TrainConfig, resources: Resources) -> Reservation:
    """Return the resources of a run.

    Raises:
        ValueError: this machine is too small (a cluster may grow), or there is no GPU for CUDA graphs.
    """
    max_concurrent(config, resources)
    run, gpu, cpus = config.run, on_gpu(config, resources), cpus_per_worker(config, resources)
    if config.loop.cuda_graphs and not (gpu and run.workers == 1):
        place = f"{run.workers} workers" if gpu else "no GPU"
        raise ValueError(f"--loop.cuda-graphs needs one GPU, this run has {place}; omit --loop.cuda-graphs")
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
    """Return whether the number of workers may change."""
    return config.run.required_workers < config.run.workers


def _waiting_message(config: TrainConfig, resources: Resources) -> str:
    """Return a message about the resources that a run on a cluster waits for; "" if it can start."""
    kind, have, each = _needs(config, resources)
    if resources.local or have >= config.run.required_workers * each:
        return ""
    fits = max(have // each, 1)
    flags = f"--run.workers {fits}" if config.run.min_workers is None else f"--run.min-workers {fits}"
    return (
        f"waiting for {config.run.required_workers * each} {kind}s; the cluster has {have}. If it cannot "
        f"grow, stop this and use {flags}"
    )


def _needs(config: TrainConfig, resources: Resources) -> tuple[str, int, int]:
    """Return the limiting resource (GPU or CPU), the available number, and the number per worker."""
    if on_gpu(config, resources):
        return "GPU", resources.gpus, 1
    return "CPU", resources.cpus, config.run.cpus or 1


def max_concurrent(config: TrainConfig, resources: Resources) -> int:
    """Return how many of these runs fit at once, each with its maximum number of workers.

    Raises:
        ValueError: not even one run fits on this machine.
    """
    kind, have, each = _needs(config, resources)
    run = config.run
    if have < run.required_workers * each and resources.local:
        least = " at least" if elastic(config) else ""
        raise ValueError(
            f"one run needs{least} {run.required_workers} workers x {each} {kind} = "
            f"{run.required_workers * each} {kind}s, but this machine has {have}; use "
            f"--run.workers {max(have, 1)} --run.cpus 1, or a larger cluster (RAY_ADDRESS)"
        )
    return max(have // (run.workers * each), 1)


def share_cpus(config: TrainConfig, concurrent: int, resources: Resources) -> TrainConfig:
    """Return the configuration with this machine's CPUs divided among `concurrent` runs, unless it sets the
    CPUs per worker."""
    if not resources.local or config.run.cpus is not None or on_gpu(config, resources):
        return config
    cpus = max(1, resources.cpus // (concurrent * config.run.workers))
    return dataclasses.replace(config, run=dataclasses.replace(config.run, cpus=cpus))
