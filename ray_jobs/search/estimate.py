"""`--plan` of a search: trials, concurrency, duration and cost."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ray_jobs.cluster.connect import Resources
from ray_jobs.search.search import Search
from ray_jobs.search.spaces import samples
from ray_jobs.search.trial_runs import trial_config
from ray_jobs.training.estimate import GIB, USE, duration, estimate, measure_matmul
from ray_jobs.training.resources import on_gpu
from tweetelm.config.train_config import preparation_key
from tweetelm.training.prepare import Prepared, prepare

_ASSUMED_TFLOPS = 50.0  # training throughput on an H200; used if no GPU is available for timing


@dataclass(frozen=True, kw_only=True)
class Price:
    """User-supplied price and speed.

    Attributes:
        per_hour: Price per hour of one GPU, or of a machine without GPUs; None: do not print the cost.
        tflops: TFLOP/s of one worker in training; None: measured here, or assumed for absent GPUs.
    """

    per_hour: float | None = None
    tflops: float | None = None


def describe_search(plan: Search, resources: Resources, price: Price) -> str:
    """Return the plan of a search: the cost without pruning, and with half of the trials pruned at each
    rung."""
    tried = [trial_config(plan.base, s, "plan") for s in samples(plan.space, plan.trials, 0)]
    prepared: dict[str, Prepared] = {}
    speed, how = _speed(plan, resources, price)
    device = torch.device("cuda" if on_gpu(plan.base, resources) else "cpu")
    needs = []
    for config in tried:
        key = preparation_key(config)
        if key not in prepared:
            prepared[key] = prepare(config, weights=False)
        needs.append(estimate(config, prepared[key], device, speed))
    total = sum(need.seconds for need in needs)
    kept = _share_run(plan)
    lines = [
        ("search", plan.name),
        ("task", f"{plan.base.task.name} on {plan.base.data.root}"),
        ("space", ", ".join(plan.space)),
        ("trials", f"{plan.trials}, proposed by {plan.propose}, {plan.concurrent} concurrent"),
        ("workers", f"{plan.base.run.workers} per trial"),
        ("epochs", f"at most {plan.epochs}"),
        ("steps", f"{min(n.steps for n in needs):,} to {max(n.steps for n in needs):,} per trial"),
        ("memory", f"up to {max(n.memory for n in needs) / GIB:.1f} GiB per worker"),
        ("arithmetic", f"{sum(n.flop for n in needs) / 1e12:,.0f} TFLOP without pruning"),
        ("speed", how),
        ("duration", _range(total / plan.concurrent, kept, duration)),
    ]
    if price.per_hour is not None:
        units = plan.concurrent * plan.base.run.workers if on_gpu(plan.base, resources) else 1
        hourly = price.per_hour * units / 3600
        lines.append(("cost", _range(total / plan.concurrent * hourly, kept, lambda money: f"{money:,.2f}")))
    return "\n".join(f"{name:<11} {value}" for name, value in lines)


def _range(longest: float, kept: float, show: Callable[[float], str]) -> str:
    return f"about {show(longest * kept)} with pruning, at most {show(longest)}"


def _speed(plan: Search, resources: Resources, price: Price) -> tuple[float, str]:
    """Return the FLOP/s of one trial's workers together, and the source of the figure. Without GPUs,
    concurrent trials share the machine."""
    base, gpu = plan.base, on_gpu(plan.base, resources)
    workers = base.run.workers if gpu else 1
    if price.tflops is not None:
        return price.tflops * 1e12 * workers, f"{price.tflops:g} TFLOP/s per worker, from --tflops"
    if gpu and not torch.cuda.is_available():
        source = f"{_ASSUMED_TFLOPS:g} TFLOP/s per GPU, assumed; set --tflops to change it"
        return _ASSUMED_TFLOPS * 1e12 * workers, source
    device, trials = torch.device("cuda" if gpu else "cpu"), 1 if gpu else plan.concurrent
    speed = measure_matmul(device, base) * USE[device.type] * workers / trials
    return speed, f"{speed / 1e12:.2f} TFLOP/s per trial, from a matrix product timed on this machine"


def _share_run(plan: Search) -> float:
    """Return the share of all epochs that runs if each rung prunes half of the trials."""
    epochs = plan.epochs
    run, alive, reached, rung = 0.0, 1.0, 0, plan.grace
    while rung < epochs:
        run, reached, alive, rung = run + alive * (rung - reached), rung, alive / 2, rung * 2
    return (run + alive * (epochs - reached)) / epochs
