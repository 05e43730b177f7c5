"""Environment variables of training workers."""

import os
from pathlib import Path

import ray

ALLOCATOR = Path(ray.__file__).parent / "core" / "libjemalloc.so"  # part of Ray's wheel on Linux


def worker_environment(cpus: int, *, gpu: bool) -> dict[str, str]:
    """Return the environment variables of a worker with `cpus` CPUs and threads.

    Without a GPU, the worker's memory comes from jemalloc, which keeps freed memory (decision 0042). glibc
    returns large blocks to the operating system, so that each step waits for gigabytes of new pages. A
    preloaded library of the user's own is left alone.
    """
    threads = {"OMP_NUM_THREADS": str(cpus)}
    if gpu or "LD_PRELOAD" in os.environ or not ALLOCATOR.is_file():
        return threads
    return threads | allocator()


def allocator() -> dict[str, str]:
    """Return the variables that load jemalloc in a process."""
    return {"LD_PRELOAD": str(ALLOCATOR), "MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1"}
