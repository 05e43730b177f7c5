"""What this machine lets a command do: files that it may open, and services that come up in time.

Ray's own processes are such a service; `ray_jobs` and `serve` both start them, with the rules of this file.
"""

import os
import resource
import sys
from collections.abc import Callable
from typing import TypeVar

OPEN_FILES = 1024  # the usual limit, with which Ray, torch and the endpoint were seen to work
ENOUGH_FILES = 65536
TRIES = 3
# What Ray waits for its own processes when it starts, in its environment; by default 20 to 60 s.
RAY_PATIENCE = {
    "RAY_NUM_REDIS_GET_RETRIES": "120",
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_gcs_server_request_timeout_seconds": "120",
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "120",
}
T = TypeVar("T")


class DidNotStartError(RuntimeError):
    """A service did not come up, however often it was started."""


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
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError):  # macOS allows fewer than its hard limit says
            pass
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
    """What `start` returns; started again where it fails, after `clean_up` and the end of the processes that
    the failed start has left.

    Args:
        start: starts the service with ports that nobody has used before.
        clean_up: makes the service's own library forget the failed start.
        name: of the service, for messages.
        tries: how often `start` is called at most.
        say: takes a line for each failed start but the last; by default it goes to standard error.

    Raises:
        DidNotStartError: no start succeeded; the message is one line that says what to do.
    """
    tell = say or (lambda line: print(line, file=sys.stderr, flush=True))
    for attempt in range(1, tries + 1):
        before = _children()
        try:
            return start()
        except Exception as error:
            clean_up()
            end_processes(_children() - before)
            if attempt == tries:
                raise DidNotStartError(_advice(name, tries, error)) from error
            tell(f"{name} did not start ({load()}); trying again, {attempt + 1} of {tries}")
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


def load() -> str:
    """How busy the machine is, in words."""
    return f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} processors"


def end_processes(pids: set[int]) -> None:
    """End these processes and all that they have started, and wait until they are gone."""
    import psutil

    found = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            found += [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    for process in found:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(found, timeout=10)


def _children() -> set[int]:
    import psutil

    return {process.pid for process in psutil.Process().children()}
