"""Environment variables of training workers."""

from tweetelm.cli import allocator


def worker_environment(cpus: int, *, gpu: bool) -> dict[str, str]:
    """Return the environment variables of a worker with `cpus` CPUs and threads.

    Without a GPU, the worker keeps freed memory (decision 0042).
    """
    threads = {"OMP_NUM_THREADS": str(cpus)}
    return threads if gpu else threads | allocator.preloaded()
