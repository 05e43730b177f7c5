"""The environment variables of training workers."""

import subprocess
import sys

import pytest

from ray_jobs.training.worker_environment import ALLOCATOR, allocator, worker_environment


def test_a_user_keeps_a_preloaded_library_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    found = worker_environment(3, gpu=False)
    assert found["OMP_NUM_THREADS"] == "3"
    assert ("LD_PRELOAD" in found) == ALLOCATOR.is_file()
    assert worker_environment(3, gpu=True) == {"OMP_NUM_THREADS": "3"}
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/other.so")
    assert worker_environment(3, gpu=False) == {"OMP_NUM_THREADS": "3"}


PAGES = """
import resource
import torch

torch.set_num_threads(1)
torch.empty(20_000_000).fill_(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    torch.empty(20_000_000).fill_(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not ALLOCATOR.is_file(), reason="Ray's wheel has no jemalloc on this system")
def test_freed_memory_is_used_again() -> None:
    """With glibc, each block of 80 MB is 20,000 new pages."""
    line = [sys.executable, "-c", PAGES]
    done = subprocess.run(line, env=allocator(), capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2000
