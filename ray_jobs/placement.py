"""What runs take of a machine or a cluster: workers, GPUs, CPUs, and how many fit at once."""

import dataclasses

import ray.train

from ray_jobs.cluster import Resources
from tweetelm.config import TrainConfig


def on_gpu(config: TrainConfig, resources: Resources) -> bool:
    """Whether workers get a GPU each."""
    return config.run.gpu == "yes" or (config.run.gpu == "auto" and resources.gpus > 0)


def cpus_each(config: TrainConfig, resources: Resources) -> int:
    """CPUs of one worker: an equal share on this machine, one elsewhere or beside a GPU."""
    if config.run.cpus is not None:
        return config.run.cpus
    if not resources.local or on_gpu(config, resources):
        return 1
    return max(1, resources.cpus // config.run.workers)


def scaling(config: TrainConfig, resources: Resources) -> ray.train.ScalingConfig:
    """How many workers with what.

    Raises:
        ValueError: this machine cannot hold them. (A cluster may grow, so there nothing is refused.)
    """
    slots(config, resources)
    gpu = on_gpu(config, resources)
    each = {"CPU": cpus_each(config, resources)} | ({"GPU": 1} if gpu else {})
    return ray.train.ScalingConfig(num_workers=config.run.workers, use_gpu=gpu, resources_per_worker=each)


def must_wait(config: TrainConfig, resources: Resources) -> str:
    """What a run on a cluster waits for before it starts, or nothing."""
    kind, have, each = _needs(config, resources)
    if resources.local or have >= each:
        return ""
    return (
        f"waiting for {each} {kind}s; the cluster has {have} now. If nothing adds to it, stop this and use "
        f"--run.workers {max(have * config.run.workers // each, 1)}"
    )


def _needs(config: TrainConfig, resources: Resources) -> tuple[str, int, int]:
    """What a run is short of first, GPUs or CPUs, how many there are, and how many it takes."""
    if on_gpu(config, resources):
        return "GPU", resources.gpus, config.run.workers
    return "CPU", resources.cpus, config.run.workers * (config.run.cpus or 1)


def slots(config: TrainConfig, resources: Resources) -> int:
    """How many such runs fit at once.

    Raises:
        ValueError: not even one does.
    """
    kind, have, each = _needs(config, resources)
    if have < each and resources.local:
        raise ValueError(
            f"one run takes {config.run.workers} workers x {each // config.run.workers} {kind} = {each} "
            f"{kind}s, but this machine has {have}; use --run.workers {max(have, 1)} --run.cpus 1, or a "
            "larger cluster (RAY_ADDRESS)"
        )
    return max(have // each, 1)


def share_cpus(config: TrainConfig, concurrent: int, resources: Resources) -> TrainConfig:
    """This machine's CPUs shared among so many runs at once, unless the configuration says how many a worker
    gets."""
    if not resources.local or config.run.cpus is not None or on_gpu(config, resources):
        return config
    cpus = max(1, resources.cpus // (concurrent * config.run.workers))
    return dataclasses.replace(config, run=dataclasses.replace(config.run, cpus=cpus))
