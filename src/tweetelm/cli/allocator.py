"""The memory allocator of Ray's processes that compute on CPUs: jemalloc, which keeps freed memory.

glibc returns large blocks to the operating system, so that each training step or pass waits for new pages
(docs/decisions/0042 and 0046).
"""

import ctypes
import os
from importlib.util import find_spec
from pathlib import Path

ALL_ARENAS = b"arena.4096"
"""MALLCTL_ARENAS_ALL of jemalloc 5."""


def library() -> Path | None:
    """Return the jemalloc in Ray's wheel; None where it has none, as on macOS."""
    ray = find_spec("ray")
    found = Path(ray.origin).parent / "core" / "libjemalloc.so" if ray and ray.origin else None
    return found if found and found.is_file() else None


def preloaded() -> dict[str, str]:
    """Return the environment variables that load it in a process; none if the user preloads a library."""
    found = library()
    if found is None or "LD_PRELOAD" in os.environ:
        return {}
    return {"LD_PRELOAD": str(found), "MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1"}


def release() -> None:
    """Return freed memory to the operating system, if this process has the library."""
    if control := getattr(ctypes.CDLL(None), "mallctl", None):
        control(ALL_ARENAS + b".purge", None, None, None, ctypes.c_size_t(0))
