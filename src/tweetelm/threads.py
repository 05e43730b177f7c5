"""Chooses the threads of a forward pass by the CPUs that other processes leave free.

torch divides each operation among its threads and waits for the slowest. With as many threads as CPUs, one
other busy process makes every operation wait. `fit_threads` measures how busy the others are, and uses fewer
threads then; it never uses more than torch was set to.
"""

import math
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import torch

INTERVAL_S = 0.5  # between measurements; shorter ones are noise, because Linux counts in steps of 10 ms
STALE_S = 10.0  # an older measurement says nothing about the present load
_WORTH_A_THREAD = 0.65  # a thread more is faster if the others use less of its CPU (docs/log.md)
_STAT = Path("/proc/stat")
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True)
class Sample:
    """CPU seconds used so far: by everything on this process's CPUs, and by this process."""

    at: float
    everyone: float
    own: float


class ThreadFitter(threading.local):
    """Adjusts torch's threads at most once per INTERVAL_S.

    Each thread that calls it has a state of its own, because torch's setting belongs to the thread that made
    it. `limit` is the number that the user or the job has set, and at most the usable CPUs.
    """

    def __init__(self) -> None:
        self._last: Sample | None = None
        self._chosen: int | None = None
        self.limit = 1

    def fit(self) -> None:
        """Set torch's number of threads; does nothing if the load cannot be measured, as on macOS."""
        threads = torch.get_num_threads()
        if threads != self._chosen:  # set by the user or the job since the last call
            self.limit = min(threads, usable_cpus())
            self._set(self.limit)
        elapsed = time.monotonic() - self._last.at if self._last else math.inf
        if self.limit == 1 or elapsed < INTERVAL_S:
            return
        now = sample()
        if now and self._last and elapsed < STALE_S:
            self._set(threads_for(self._last, now, self.limit))
        self._last = now

    def _set(self, threads: int) -> None:
        self._chosen = threads
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)


def threads_for(before: Sample, now: Sample, limit: int) -> int:
    """Threads for the CPUs that other processes did not use between two samples; from 1 to `limit`."""
    seconds = max(now.at - before.at, 1e-6)
    others = max(0.0, (now.everyone - before.everyone) - (now.own - before.own)) / seconds
    free = len(os.sched_getaffinity(0)) - others
    return max(1, min(limit, math.floor(free + _WORTH_A_THREAD)))


def usable_cpus() -> int:
    """CPUs that this process may use, by affinity and by the quota of its container (cgroups)."""
    import joblib  # takes a moment; comes with scikit-learn

    return int(joblib.cpu_count())


def sample() -> Sample | None:
    """CPU seconds used so far; None if the system does not tell."""
    try:
        lines = _STAT.read_text().splitlines()
        own = {f"cpu{cpu}" for cpu in os.sched_getaffinity(0)}
        fields = [line.split() for line in lines if line.partition(" ")[0] in own]
        ticks = sum(sum(map(int, values[1:4] + values[6:9])) for values in fields)  # without idle and iowait
    except (OSError, ValueError, AttributeError):
        return None
    return Sample(time.monotonic(), ticks / _TICKS, time.process_time())


_FITTER = ThreadFitter()


def fit_threads() -> None:
    """Set torch's threads for the next forward passes of this process; called before each batch of work."""
    _FITTER.fit()
