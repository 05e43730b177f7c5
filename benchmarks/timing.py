"""Interleaved timing of the variants of a comparison, and reports of the results."""

import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

from tweetelm.precision import has_bf16

ROUNDS = 5
PEAK = "matrix product"
_SHAPE = (2048, 1280, 7680)
_GPU_ROWS = 8192  # of a GPU's forward pass
_PRODUCTS = 8
SETTLE_S = 0.2  # before a variant: ONNX Runtime's threads spin after a call, and slowed the next variant


@dataclass(frozen=True)
class Spread:
    """One value per round; printed as median and, for several rounds, range."""

    rounds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def __str__(self) -> str:
        digits = 1 if self.median >= 100 else 2 if self.median >= 1 else 3
        if len(self.rounds) == 1:
            return f"{self.median:.{digits}f}"
        low, high = min(self.rounds), max(self.rounds)
        return f"{self.median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


@dataclass(frozen=True)
class Variant:
    """One way to do the work. `amount` is the work of one call of `run`, in a unit common to all variants."""

    run: Callable[[], object]
    amount: float


@dataclass(frozen=True)
class Timing:
    """Wall and CPU seconds per counted round, and the amount of work per round."""

    wall: list[float]
    cpu: list[float]
    amount: float

    @property
    def rate(self) -> Spread:
        """Work per second."""
        return Spread([self.amount / seconds for seconds in self.wall])

    def faster_than(self, other: "Timing") -> Spread:
        """Ratio of the rates per round, so that other load on the machine affects both."""
        return Spread([a / b for a, b in zip(self.rate.rounds, other.rate.rounds, strict=True)])

    def cheaper_than(self, other: "Timing") -> Spread:
        """The same ratio in CPU seconds, which other programs affect less."""
        pairs = zip(self.cpu, other.cpu, strict=True)
        return Spread([b * self.amount / (a * other.amount) for a, b in pairs])


def run_interleaved(variants: dict[str, Variant], rounds: int) -> dict[str, Timing]:
    """Run every variant once as warm-up, then all variants in turn, `rounds` times.

    On a GPU, a round ends when its work is done.
    """
    for variant in variants.values():
        variant.run()
    synchronize()
    timings = {name: Timing([], [], variant.amount) for name, variant in variants.items()}
    for number in range(rounds):
        for name, variant in variants.items():
            time.sleep(SETTLE_S)
            wall, cpu = time.perf_counter(), time.process_time()
            variant.run()
            synchronize()
            timings[name].wall.append(time.perf_counter() - wall)
            timings[name].cpu.append(time.process_time() - cpu)
        print(f"round {number + 1} of {rounds}", flush=True)
    return timings


def synchronize() -> None:
    """Wait until the GPU, if there is one, has done all submitted work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_variant(device: torch.device) -> Variant:
    """A variant with products of large matrices, bfloat16 if the device has it; its amount is in FLOP."""
    rows, inner, columns = _SHAPE
    products = _PRODUCTS
    if device.type == "cuda":
        rows, products = _GPU_ROWS, 8 * _PRODUCTS
    dtype = torch.bfloat16 if has_bf16(device) else torch.float32
    left = torch.randn(rows, inner, device=device, dtype=dtype)
    right = torch.randn(columns, inner, device=device, dtype=dtype)

    def run() -> None:
        for _ in range(products):
            torch.nn.functional.linear(left, right)

    return Variant(run, 2.0 * rows * inner * columns * products)


def share_of_peak(timings: dict[str, Timing], name: str, flop: float) -> str:
    """The throughput of a variant with `flop` operations per round, as a fraction of the peak."""
    done = Spread([flop / seconds / 1e9 for seconds in timings[name].wall])
    peak = Spread([rate / 1e9 for rate in timings[PEAK].rate.rounds])
    share = Spread([a / b for a, b in zip(done.rounds, peak.rounds, strict=True)])
    return (
        f"{name}: {done} GFLOP/s of useful work; {PEAK} in the same rounds: {peak} GFLOP/s; fraction {share}"
    )


def machine() -> str:
    """Description of the machine, its software and its load."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    processor = next(
        (line.split(":")[1].strip() for line in lines if "model name" in line), platform.machine()
    )
    if torch.cuda.is_available():
        processor = f"{torch.cuda.get_device_name()}, {processor}"
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers"))
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{processor}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads, {versions}, Python "
        f"{platform.python_version()}, {datetime.date.today()}. Load average at the start: {load} "
        f"(an idle machine: near 0; above {os.cpu_count()}, the figures are unreliable)."
    )


def publish(name: str, lines: list[str], out: Path | None) -> None:
    """Print a report and write it to `out`, if given."""
    text = "\n".join([f"# {name}", "", *lines, ""])
    print(text)
    if out:
        out.write_text(text, encoding="utf-8")
