"""Limits on open files, and service start-up with retries and timeouts.

`ray_jobs` and `serve` both start Ray through this module.
"""

import contextlib
import ctypes
import importlib
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

OPEN_FILES = 1024  # the usual limit; sufficient for Ray, torch and the endpoint
ENOUGH_FILES = 65536
TRIES = 2
PATIENCE_S = 150  # for what has no setting of its own
SLOW_S = 30
_SET_CHILD_SUBREAPER = 36  # of prctl(2)
# What Ray waits for its own processes when it starts, in its environment; by default 20 to 60 s.
RAY_PATIENCE = {
    "RAY_NUM_REDIS_GET_RETRIES": "120",
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_gcs_server_request_timeout_seconds": "120",
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "180",
}
T = TypeVar("T")


class DidNotStartError(RuntimeError):
    """A service failed to start in all attempts."""


def ensure_open_files(needed: int = OPEN_FILES) -> None:
    """Raise the limit of open files as far as this user may.

    Raises:
        OSError: fewer than `needed` are allowed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    wanted = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_FILES)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS allows fewer than its hard limit says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft < needed:
        raise OSError(
            f"this shell may open {soft} files at a time, and Ray needs at least {needed}; type `ulimit -n "
            "4096`, in a new shell if this one refuses it, then the same command again"
        )


def start_service(
    start: Callable[[], T],
    clean_up: Callable[[], None],
    *,
    name: str = "Ray",
    tries: int = TRIES,
    say: Callable[[str], None] | None = None,
) -> T:
    """Start a service with retries; returns the result of `start`.

    After a failed attempt, `clean_up` is called and the processes of the attempt are killed.

    Args:
        start: Starts the service on new ports.
        clean_up: Resets the service's library after a failed start.
        name: Name of the service, for messages.
        tries: Maximum number of attempts.
        say: Gets a line when a start is slow or fails. Default: print to standard error.

    Raises:
        DidNotStartError: all attempts failed; the message says what to do.
    """
    tell = say or (lambda line: print(line, file=sys.stderr, flush=True))
    with _orphans_kept():
        for attempt in range(1, tries + 1):
            before = _children()
            slow = threading.Timer(SLOW_S, lambda: tell(f"{name} is slow to start ({load()}); still waiting"))
            slow.daemon = True
            slow.start()
            try:
                return start()
            except BaseException as error:
                clean_up()
                _end_children(since=before)
                if not isinstance(error, Exception):
                    raise
                if attempt == tries:
                    raise DidNotStartError(_advice(name, tries, error)) from error
                tell(f"{name} did not start ({load()}); trying again, {attempt + 1} of {tries}")
            finally:
                slow.cancel()
    raise AssertionError("tries is at least 1")


def _advice(name: str, tries: int, error: Exception) -> str:
    failed = f"{name} did not start in {tries} tries"
    if os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
        return (
            f"{failed}: this machine is too busy ({load()}); stop other work on it (`top` shows what runs), "
            "then type the same command again"
        )
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return f"{failed} ({reason}); see `free -m` and `df -h /tmp /dev/shm`, then type the same command again"


@contextlib.contextmanager
def longer_wait(module: Any, function: str, *, within_s: float = PATIENCE_S) -> Iterator[None]:
    """Retry a library's `function` while it raises RuntimeError, for `within_s` seconds, while the block
    runs.

    For a timeout of the library that has no setting. Decision 0027.
    """
    original = getattr(module, function)

    def patient(*arguments: Any, **more: Any) -> Any:
        end = time.monotonic() + within_s
        while True:
            try:
                return original(*arguments, **more)
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    setattr(module, function, patient)
    try:
        yield
    finally:
        setattr(module, function, original)


def longer_ray_start() -> contextlib.AbstractContextManager[None]:
    """Make Ray wait longer for its node to register, while the block runs; see docs/ray-internals.md."""
    return longer_wait(importlib.import_module("ray._private.services"), "get_node")


def load() -> str:
    """Return the load of the machine as text."""
    return f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} processors"


def _children() -> set[int]:
    import psutil

    return {process.pid for process in psutil.Process().children()}


def _end_children(since: set[int]) -> None:
    """Kill all descendants of this process that are not in `since`."""
    import psutil

    for _ in range(10):  # those that a killed one leaves are ours only now
        new = [psutil.Process(pid) for pid in _children() - since if psutil.pid_exists(pid)]
        if not new:
            return
        for process in new:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(new, timeout=5)


@contextlib.contextmanager
def _orphans_kept() -> Iterator[None]:
    """Make orphaned descendants children of this process while the block runs (Linux only)."""
    keep = ctypes.CDLL(None).prctl if sys.platform == "linux" else lambda *_: 0
    keep(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        keep(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
