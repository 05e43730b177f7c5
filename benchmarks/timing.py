"""Timing several sides of one comparison in turn, and writing down what came out."""

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

ROUNDS = 5
PEAK = "bf16 matrix product"
_SHAPE = (2048, 1280, 7680)
_GPU_ROWS = 8192  # of a forward pass there
_PRODUCTS = 8


@dataclass(frozen=True)
class Spread:
    """One number for each round; printed as the median and, of several, the range."""

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
class Side:
    """One way of doing the work. `amount` is how much of it one call of `run` does, in any unit that all
    sides share."""

    run: Callable[[], object]
    amount: float


@dataclass(frozen=True)
class Taken:
    """Seconds by the clock and of the processor, for each counted round, and the work of a round."""

    wall: list[float]
    cpu: list[float]
    amount: float

    @property
    def rate(self) -> Spread:
        """Work per second."""
        return Spread([self.amount / seconds for seconds in self.wall])

    def faster_than(self, other: "Taken") -> Spread:
        """Ratio of the rates, round by round: neighbours in time share the machine's other load."""
        return Spread([a / b for a, b in zip(self.rate.rounds, other.rate.rounds, strict=True)])

    def cheaper_than(self, other: "Taken") -> Spread:
        """The same in processor seconds, which other programs disturb less."""
        pairs = zip(self.cpu, other.cpu, strict=True)
        return Spread([b * self.amount / (a * other.amount) for a, b in pairs])


def in_turn(sides: dict[str, Side], rounds: int) -> dict[str, Taken]:
    """Run every side once uncounted, then all sides one after the other, `rounds` times. A GPU's work counts
    until it is done."""
    for side in sides.values():
        side.run()
    settle()
    taken = {name: Taken([], [], side.amount) for name, side in sides.items()}
    for number in range(rounds):
        for name, side in sides.items():
            wall, cpu = time.perf_counter(), time.process_time()
            side.run()
            settle()
            taken[name].wall.append(time.perf_counter() - wall)
            taken[name].cpu.append(time.process_time() - cpu)
        print(f"round {number + 1} of {rounds}", flush=True)
    return taken


def settle() -> None:
    """Wait until a GPU has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_side(device: torch.device) -> Side:
    """Products of large bfloat16 matrices; the amount is in floating-point operations."""
    rows, inner, columns = _SHAPE
    products = _PRODUCTS
    if device.type == "cuda":
        rows, products = _GPU_ROWS, 8 * _PRODUCTS
    left = torch.randn(rows, inner, device=device).bfloat16()
    right = torch.randn(columns, inner, device=device).bfloat16()

    def run() -> None:
        for _ in range(products):
            torch.nn.functional.linear(left, right)

    return Side(run, 2.0 * rows * inner * columns * products)


def share_of_peak(taken: dict[str, Taken], name: str, flop: float) -> str:
    """How much of the peak a side reaches that needs `flop` operations a round."""
    done = Spread([flop / seconds / 1e9 for seconds in taken[name].wall])
    peak = Spread([rate / 1e9 for rate in taken[PEAK].rate.rounds])
    share = Spread([a / b for a, b in zip(done.rounds, peak.rounds, strict=True)])
    return (
        f"{name}: {done} GFLOP/s of work really done; {PEAK} in the same rounds: {peak} GFLOP/s; "
        f"share {share}"
    )


def machine() -> str:
    """What it ran on, and how busy that was."""
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
        f"(an idle machine: near 0; above {os.cpu_count()}, the figures are disturbed)."
    )


def publish(name: str, lines: list[str], out: Path | None) -> None:
    """Print a report, and write it to a file if asked to."""
    text = "\n".join([f"# {name}", "", *lines, ""])
    print(text)
    if out:
        out.write_text(text, encoding="utf-8")
