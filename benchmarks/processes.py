"""The processes of one Ray cluster, told from all others by a mark in their environment, and their roles."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

MARKER = "TWEETELM_BENCHMARK"
REPLICA, PROXY, CONTROLLER = "replica", "proxy", "controller"
HAPROXY_KEEPER, HAPROXY = "haproxy keeper", "haproxy"
_TITLES = {
    "ray::ServeReplica:": REPLICA,
    "ray::ProxyActor": PROXY,
    "ray::ServeController": CONTROLLER,
    "ray::HAProxyManager": HAPROXY_KEEPER,
}
_PROGRAMS = {"haproxy": HAPROXY, "gcs_server": "gcs", "raylet": "raylet"}


@dataclass(frozen=True)
class Usage:
    """Of the processes of one role together. `rss` in bytes, the pages they share counted in each."""

    count: int
    cpu_s: float
    rss: int


def role(process: psutil.Process) -> str:
    """What a process is to Ray Serve, "other" if nothing in particular. Raises psutil.Error if it is gone."""
    line = process.cmdline()
    first = line[0] if line else ""
    for title, name in _TITLES.items():
        if first.startswith(title):
            return name
    return _PROGRAMS.get(first.rpartition("/")[2], "other")


def members(mark: str) -> list[psutil.Process]:
    """Every living process that was started with this mark in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def by_role(mark: str) -> dict[str, list[psutil.Process]]:
    """The members, oldest first."""
    found: dict[str, list[psutil.Process]] = {}
    for process in members(mark):
        try:
            found.setdefault(role(process), []).append(process)
        except psutil.Error:
            continue
    return found


def usage(mark: str) -> dict[str, Usage]:
    """Processor seconds since their start, and memory, by role."""
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
    """Processor seconds by role between two calls of `usage`; of roles that were there both times."""
    return {name: after[name].cpu_s - before[name].cpu_s for name in after if name in before}


def kill(mark: str, name: str) -> int:
    """SIGKILL to the oldest process of a role; its id.

    Raises:
        LookupError: there is none now.
    """
    processes = by_role(mark).get(name)
    if not processes:
        raise LookupError(f"no process of this cluster is a {name}")
    killed = processes[0]
    killed.kill()
    return int(killed.pid)


def end(mark: str) -> None:
    """End the members, and those that they start while dying."""
    for ask, seconds in [(psutil.Process.terminate, 5), *[(psutil.Process.kill, 5)] * 5]:
        left = members(mark)
        for process in left:
            try:
                ask(process)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=seconds)
        if not members(mark):
            return
    raise RuntimeError(f"processes of the cluster survive: {members(mark)}")


@contextmanager
def ended(mark: str) -> Iterator[None]:
    """None of the members is left afterwards."""
    try:
        yield
    finally:
        end(mark)
