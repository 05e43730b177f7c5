"""Timing several sides of one comparison in turn, and writing down what came out."""

import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

ROUNDS = 5


@dataclass(frozen=True)
class Seconds:
    """Wall-clock seconds of each counted round."""

    rounds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def __str__(self) -> str:
        return f"{self.median:.3f} ({min(self.rounds):.3f} to {max(self.rounds):.3f})"


def in_turn(sides: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, Seconds]:
    """Run every side once uncounted, then all sides one after the other, `rounds` times."""
    for run in sides.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - start)
    return {name: Seconds(values) for name, values in taken.items()}


def matmul_peak(dtype: torch.dtype, device: torch.device) -> float:
    """Best FLOP per second of a matrix product of the size that a packed batch has."""
    left, right = (
        torch.ones(4096, 1280, dtype=dtype, device=device),
        torch.ones(1280, 5120, dtype=dtype, device=device),
    )
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        product = left @ right
        product[0, 0].item()
        best = min(best, time.perf_counter() - start)
    return 2 * 4096 * 1280 * 5120 / best


def machine() -> str:
    """What it ran on."""
    if torch.cuda.is_available():
        processor = torch.cuda.get_device_name()
    else:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(
            (line.split(":")[1].strip() for line in lines if "model name" in line), platform.machine()
        )
    load = os.getloadavg()[0]
    return (
        f"{processor}, {torch.get_num_threads()} threads, torch {torch.__version__}, Python "
        f"{platform.python_version()}, load before the run {load:.1f}, {datetime.date.today()}"
    )


def publish(name: str, lines: list[str], out: Path | None) -> None:
    """Print a report, and write it to a file if asked to."""
    text = "\n".join([f"# {name}", "", *lines, ""])
    print(text)
    if out:
        out.write_text(text, encoding="utf-8")
