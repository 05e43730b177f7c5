"""The processes of one Ray cluster and their roles, identified by a marker in their environment."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

MARKER = "TWEETELM_BENCHMARK"
REPLICA, PROXY, CONTROLLER = "replica", "proxy", "controller"
HAPROXY_MANAGER, HAPROXY = "haproxy manager", "haproxy"
_TITLES = {
    "ray::ServeReplica:": REPLICA,
    "ray::ProxyActor": PROXY,
    "ray::ServeController": CONTROLLER,
    "ray::HAProxyManager": HAPROXY_MANAGER,
}
_PROGRAMS = {"haproxy": HAPROXY, "gcs_server": "gcs", "raylet": "raylet"}


@dataclass(frozen=True)
class Usage:
    """Totals over the processes of one role. `rss` is in bytes and counts shared pages once per process."""

    count: int
    cpu_s: float
    rss: int


def role(process: psutil.Process) -> str:
    """The role of a process in Ray Serve, or "other".

    Raises:
        psutil.Error: the process has ended.
    """
    line = process.cmdline()
    first = line[0] if line else ""
    for title, name in _TITLES.items():
        if first.startswith(title):
            return name
    return _PROGRAMS.get(first.rpartition("/")[2], "other")


def members(mark: str) -> list[psutil.Process]:
    """Every running process with this marker in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def by_role(mark: str) -> dict[str, list[psutil.Process]]:
    """The members by role, oldest first."""
    found: dict[str, list[psutil.Process]] = {}
    for process in members(mark):
        try:
            found.setdefault(role(process), []).append(process)
        except psutil.Error:
            continue
    return found


def usage(mark: str) -> dict[str, Usage]:
    """CPU seconds since process start, and memory, by role."""
    return {name: _usage(processes) for name, processes in by_role(mark).items()}


def _usage(processes: list[psutil.Process]) -> Usage:
    count, cpu, rss = 0, 0.0, 0
    for process in processes:
        try:
            with process.oneshot():
                times, memory = process.cpu_times(), process.memory_info().rss
        except psutil.Error:
            continue
        count, cpu, rss = count + 1, cpu + times.user + times.system, rss + memory
    return Usage(count, cpu, rss)


def spent(before: dict[str, Usage], after: dict[str, Usage]) -> dict[str, float]:
    """CPU seconds by role between two calls of `usage`, for roles in both."""
    return {name: after[name].cpu_s - before[name].cpu_s for name in after if name in before}


def kill(mark: str, name: str) -> int:
    """Send SIGKILL to the oldest process of a role; returns its process id.

    Raises:
        LookupError: no process has this role.
    """
    processes = by_role(mark).get(name)
    if not processes:
        raise LookupError(f"no process of this cluster has the role {name}")
    killed = processes[0]
    killed.kill()
    return int(killed.pid)


def end(mark: str) -> None:
    """Terminate all members, including processes that they start while stopping.

    Raises:
        RuntimeError: a member survives.
    """
    for stop, seconds in [(psutil.Process.terminate, 5), *[(psutil.Process.kill, 5)] * 5]:
        left = members(mark)
        for process in left:
            try:
                stop(process)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=seconds)
        if not members(mark):
            return
    raise RuntimeError(f"these processes of the cluster still run: {members(mark)}")


@contextmanager
def end_on_exit(mark: str) -> Iterator[None]:
    """Terminate all members on exit."""
    try:
        yield
    finally:
        end(mark)
