"""`--plan`: what a run would take, before anything is reserved."""

import time

import torch

from ray_jobs.cluster import Resources
from ray_jobs.launch import cpus_each, on_gpu
from tweetelm.config import TrainConfig
from tweetelm.openelm.accounting import activation_bytes, cost
from tweetelm.precision import choose
from tweetelm.training.loop import plan
from tweetelm.training.setup import Prepared, architecture

_GIB = 2**30
_USE = 0.45  # share of a bare matrix product's speed that a training step was seen to reach


def describe_plan(config: TrainConfig, prepared: Prepared, resources: Resources) -> str:
    """Workers, steps, tokens, memory per worker, arithmetic and an estimated duration."""
    from tokenizers import Tokenizer

    shape = architecture(config, prepared.base, Tokenizer.from_str(prepared.tokenizer))
    size, rows = cost(shape), prepared.train
    layout = plan(rows.lengths, config)
    tokens = sum(rows.lengths) * config.loop.epochs
    gpu = on_gpu(config, resources)
    learning = config.optim.mode == "full"
    work = tokens * (size.training_flops_per_token if learning else size.flops_per_token)
    checkpointing = config.model.activation_checkpointing
    memory = size.optimiser_bytes if learning else 4 * size.parameters
    memory += (
        activation_bytes(shape, config.loop.micro_tokens, checkpointing=checkpointing) if learning else 0
    )
    device = torch.device("cuda" if gpu and torch.cuda.is_available() else "cpu")
    speed = measure_matmul(device, config) * _USE * (config.run.workers if gpu else 1)
    left_out = ", ".join(f"{count} {reason}" for reason, count in prepared.left_out.items() if count)
    unit = "1 GPU" if gpu else f"{cpus_each(config, resources)} CPU"
    lines = [
        ("run", config.run_name),
        ("task", f"{config.task} on {config.data.root}"),
        ("model", f"{config.model.name}, {size.parameters:,} parameters, {_weights(config, prepared)}"),
        ("workers", f"{config.run.workers} x {unit}"),
        (
            "rows",
            f"{len(rows):,} training ({left_out or 'none'} left out), {len(prepared.validation):,} "
            f"validation",
        ),
        ("tokens", f"{tokens:,} in {config.loop.epochs} epochs, {tokens / layout.total:,.0f} per step"),
        ("steps", f"{layout.total:,}"),
        ("precision", choose(config.loop.precision, device)),
        ("memory", f"about {memory / _GIB:.1f} GiB per worker"),
        ("arithmetic", f"{work / 1e12:.2f} TFLOP"),
        (
            "duration",
            f"about {_duration(work / speed)} (from a matrix product timed here, at {_USE:.0%} of it)",
        ),
    ]
    return "\n".join(f"{name:<11} {value}" for name, value in lines)


def _weights(config: TrainConfig, prepared: Prepared) -> str:
    if prepared.base is None:
        return "trained from scratch" if config.model.scratch else "RANDOM weights"
    return f"weights from {prepared.base.repo or prepared.base.folder}"


def measure_matmul(device: torch.device, config: TrainConfig) -> float:
    """FLOP per second of a matrix product of typical shape, in the precision that training would use."""
    dtype = torch.bfloat16 if choose(config.loop.precision, device) == "bf16" else torch.float32
    left, right = (torch.ones(1024, 1280, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        (left @ right.T).sum().item()
        best = min(best, time.perf_counter() - start)
    return 2 * 1024 * 1024 * 1280 / best


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
