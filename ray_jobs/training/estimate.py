"""`--plan`: estimates the steps, memory, FLOP and duration of a run or a search."""

import time
from dataclasses import dataclass

import torch

from ray_jobs.cluster.connect import Resources
from ray_jobs.training.resources import cpus_per_worker, elastic, on_gpu
from tweetelm.config.train_config import TrainConfig
from tweetelm.encoding import pass_tokens
from tweetelm.openelm.flops import Cost, activation_bytes
from tweetelm.precision import choose
from tweetelm.training.phases import PRETRAIN, plan
from tweetelm.training.prepare import Prepared

GIB = 2**30
USE = {"cpu": 0.45, "cuda": 0.08}  # measured throughput of training relative to a matrix product
_START_S = 20.0  # start-up of the workers, measured on two CPUs


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The estimated cost of one run.

    Attributes:
        parameters: Parameters of the model.
        steps: Optimizer steps.
        tokens: Tokens over all epochs.
        flop: Floating-point operations.
        memory: Bytes per worker.
        seconds: Duration including start-up.
    """

    parameters: int
    steps: int
    tokens: int
    flop: float
    memory: float
    seconds: float


def estimate(
    config: TrainConfig, prepared: Prepared, device: torch.device, flop_per_second: float
) -> Estimate:
    """Estimate a run on a device; `flop_per_second` is the throughput of all its workers together."""
    unlabeled = prepared.unlabeled.lengths if prepared.unlabeled else []
    size, layout = prepared.cost, plan(prepared.train.lengths, config, unlabeled)
    labeled, flop, tokens = sum(prepared.train.lengths), 0.0, 0
    for phase in layout.phases:
        models = phase.name == PRETRAIN
        read = (labeled + sum(unlabeled) * models) * len(phase.ends)
        flop += (_modeling_flop(size) if models else _classifying_flop(size, phase.mode)) * read
        tokens += read
    everything = config.trains_all_weights
    memory = float(size.optimizer_bytes if everything else 4 * size.parameters)
    if config.loop.average and config.optim.mode == "full":
        memory += 4 * size.parameters
    if everything or config.optim.mode == "lora":
        checkpointing = config.model.activation_checkpointing
        most = pass_tokens(device, config.loop.micro_tokens)
        memory += activation_bytes(prepared.architecture, most, checkpointing=checkpointing)
    return Estimate(
        parameters=size.parameters,
        steps=layout.total,
        tokens=tokens,
        flop=flop,
        memory=memory,
        seconds=flop / flop_per_second + _START_S,
    )


def _modeling_flop(size: Cost) -> float:
    """Per token: decoder forward and backward, vocabulary logits twice forward and once backward."""
    return 6.0 * size.linear + 8.0 * size.embedding


def _classifying_flop(size: Cost, mode: str) -> float:
    """Per token. Frozen weights need no weight gradients, which are a third of the work."""
    if mode == "head":
        return float(size.flops_per_token)
    return size.training_flops_per_token * (2 / 3 if mode == "lora" else 1.0)


def describe_plan(config: TrainConfig, prepared: Prepared, resources: Resources) -> str:
    """Return the plan of a run: workers, steps, tokens, memory per worker, FLOP and estimated duration."""
    gpu, rows = on_gpu(config, resources), prepared.train
    device = torch.device("cuda" if gpu and torch.cuda.is_available() else "cpu")
    use = USE[device.type]
    speed = measure_matmul(device, config) * use * (config.run.workers if gpu else 1)
    needs = estimate(config, prepared, device, speed)
    left_out = ", ".join(f"{count} {reason}" for reason, count in prepared.left_out.items() if count)
    unit = "1 GPU" if gpu else f"{cpus_per_worker(config, resources)} CPU"
    before = f"{config.pretrain.epochs} of language modeling, " if config.pretrain.epochs else ""
    lines = [
        ("run", config.run_name),
        ("task", f"{config.task.name} on {config.data.root}"),
        ("model", f"{_model(config)}, {needs.parameters:,} parameters, {_weights(config)}"),
        ("workers", _workers(config, unit)),
        (
            "rows",
            f"{len(rows):,} training ({left_out or 'none'} left out), {len(prepared.validation):,} "
            f"validation",
        ),
        *([("unlabeled", str(source))] if (source := prepared.provenance.unlabeled) else []),
        *([("teacher", config.distill.teacher)] if config.distill.teacher else []),
        *([("unlabeled", f"for the teacher: {source}")] if (source := prepared.provenance.distilled) else []),
        ("epochs", f"{before}{config.loop.epochs} of classification{_averaging(config)}"),
        ("tokens", f"{needs.tokens:,}, {needs.tokens / needs.steps:,.0f} per step"),
        ("steps", f"{needs.steps:,}"),
        ("precision", choose(config.loop.precision, device)),
        ("memory", f"about {needs.memory / GIB:.1f} GiB per worker"),
        ("arithmetic", f"{needs.flop / 1e12:.2f} TFLOP"),
        (
            "duration",
            f"about {duration(needs.seconds)} (at {use:.0%} of the speed of a matrix product timed here)",
        ),
    ]
    return "\n".join(f"{name:<11} {value}" for name, value in lines)


def _averaging(config: TrainConfig) -> str:
    share = config.loop.average
    return f", weights averaged over the last {share:.0%} of steps" if share else ""


def _workers(config: TrainConfig, unit: str) -> str:
    if elastic(config):
        return f"{config.run.required_workers} to {config.run.workers} x {unit}, elastic"
    return f"{config.run.workers} x {unit}"


def _model(config: TrainConfig) -> str:
    layers = config.model.layers
    return config.model.name if layers is None else f"the first {layers} layers of {config.model.name}"


def _weights(config: TrainConfig) -> str:
    if config.model.random:
        return "trained from scratch" if config.model.scratch else "RANDOM weights"
    return f"weights from {config.model.name}"


def measure_matmul(device: torch.device, config: TrainConfig) -> float:
    """Measure the FLOP/s of a matrix product of typical shape in the precision of training."""
    dtype = torch.bfloat16 if choose(config.loop.precision, device) == "bf16" else torch.float32
    size = 8192 if device.type == "cuda" else 1024  # smaller sizes underuse a GPU
    left, right = (torch.randn(size, 1280, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        (left @ right.T)[0, 0].item()  # synchronizes with the GPU
        best = min(best, time.perf_counter() - start)
    return 2 * size * size * 1280 / best


def duration(seconds: float) -> str:
    """Format seconds as s, min or h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
