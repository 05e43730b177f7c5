"""The environment variables of training workers."""

import pytest

from ray_jobs.training.worker_environment import worker_environment
from tweetelm.cli import allocator


def test_workers_without_a_gpu_keep_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    assert worker_environment(3, gpu=False) == {"OMP_NUM_THREADS": "3"} | allocator.preloaded()
    assert worker_environment(3, gpu=True) == {"OMP_NUM_THREADS": "3"}
