"""The allocator of processes that compute on CPUs."""

import os
import subprocess
import sys

import pytest

from tweetelm.cli import allocator


def test_a_preloaded_library_of_the_user_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    assert ("LD_PRELOAD" in allocator.preloaded()) == bool(allocator.library())
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/other.so")
    assert allocator.preloaded() == {}


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


@pytest.mark.skipif(not allocator.library(), reason="Ray's wheel has no jemalloc on this system")
def test_freed_memory_is_used_again() -> None:
    """With glibc, each block of 80 MB is 20,000 new pages."""
    line = [sys.executable, "-c", PAGES]
    done = subprocess.run(line, env=allocator.preloaded(), capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2000


RELEASE = """
import psutil
import torch
from tweetelm.cli import allocator

held = torch.empty(20_000_000).fill_(1)
del held
kept = psutil.Process().memory_info().rss
allocator.release()
print(kept - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(not allocator.library(), reason="Ray's wheel has no jemalloc on this system")
def test_release_returns_freed_memory() -> None:
    environment = os.environ | allocator.preloaded()
    line = [sys.executable, "-c", RELEASE]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 60_000_000


def test_release_without_the_library_does_nothing() -> None:
    allocator.release()
