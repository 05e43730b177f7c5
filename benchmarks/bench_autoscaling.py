"""From one replica to several and back, as callers come and go: when, at what price, and as a plot."""

import argparse
import math
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import Plan, Running
from benchmarks.published import publish
from benchmarks.report import Report
from benchmarks.service import Driven, app, driven, wait_for
from benchmarks.timing import machine
from benchmarks.timing import publish as write
from serve import client

FEW = 2


@dataclass
class Watched:
    """What was seen, at seconds from the start."""

    began: float = field(default_factory=time.time)
    replicas: list[tuple[float, int, int]] = field(default_factory=list)
    """(seconds, running, in whatever state)"""
    phases: list[tuple[float, int]] = field(default_factory=list)
    """(seconds, callers from then on)"""
    reports: list[Report] = field(default_factory=list)

    def load(self, service: Driven, clients: int, seconds: float) -> None:
        """So many callers for so long; the replicas are counted meanwhile."""
        running = Running(Plan(url=service.classify_url, clients=clients, seconds=seconds, retries=2))
        try:
            while running.process.poll() is None:
                self.count(service)
                time.sleep(0.25)
            self.reports.append(running.report())
        finally:
            running.close()
        self.phases.append((self.reports[-1].started - self.began, clients))

    def count(self, service: Driven) -> None:
        found = service.replicas()
        if found:
            now = time.time() - self.began
            self.replicas.append((now, found.get("RUNNING", 0), sum(found.values())))

    def first(self, since: float, wanted: int) -> float:
        """Seconds from `since` until so many replicas ran; NaN if they never did."""
        times = (at - since for at, running, _ in self.replicas if at >= since and running == wanted)
        return next(times, math.nan)


def watch(service: Driven, many: int, seconds: tuple[float, float, float]) -> Watched:
    """Few callers, many, few again."""
    watched = Watched()
    for clients, length in zip((FEW, many, FEW), seconds, strict=True):
        watched.load(service, clients, length)
    deadline = time.monotonic() + 60
    while watched.replicas[-1][1] > 1 and time.monotonic() < deadline:
        watched.count(service)
        time.sleep(0.25)
    return watched


def from_zero(service: Driven) -> str:
    """Wait until no replica is left, and ask once."""
    idle = time.monotonic()
    wait_for("no replica runs", lambda: service.order(status=True)["replicas"] == {}, within_s=300)
    gone, began = time.monotonic() - idle, time.monotonic()
    client.post(service.classify_url, {"input": "anybody there?"}, timeout_s=120)
    return (
        f"- nobody calls any more: no replica {gone:.0f} s later; the next caller has an answer after "
        f"{time.monotonic() - began:.1f} s"
    )


def report(watched: Watched, replicas: int) -> list[str]:
    (_, few), (up, many), (down, _) = watched.phases
    steps = [f"{count} replicas after {watched.first(up, count):.1f} s" for count in range(2, replicas + 1)]
    lines = [
        f"- from {few} to {many} callers: {', '.join(steps)}",
        f"- back to {few}: 1 replica after {watched.first(down, 1):.1f} s",
    ]
    for (_, clients), seen in zip(watched.phases, watched.reports, strict=True):
        lines.append(
            f"- {clients} callers for {seen.seconds:.0f} s: {seen.ok} ok, {seen.refused} refused, "
            f"{seen.failed} failed of {seen.requests}; {seen.throughput:.0f} ok/s, "
            f"p99 {1e3 * seen.p99_s:.0f} ms"
        )
    return lines


def plot(watched: Watched, path: Path) -> None:
    """Callers and replicas over time; PNG or SVG by the file's name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    end = watched.replicas[-1][0]
    starts = [at for at, _ in watched.phases]
    top.step([*starts, end], [*(n for _, n in watched.phases), watched.phases[-1][1]], where="post")
    top.set(ylabel="callers", ylim=(0, None))
    times = [at for at, _, _ in watched.replicas]
    bottom.step(times, [n for _, _, n in watched.replicas], where="post", label="started", linestyle=":")
    bottom.step(times, [n for _, n, _ in watched.replicas], where="post", label="running")
    bottom.set(ylabel="replicas", xlabel="seconds", ylim=(0, None))
    bottom.yaxis.get_major_locator().set_params(integer=True)
    bottom.legend()
    figure.savefig(path)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=3, help="at most, of half a processor each")
    parser.add_argument("--many", type=int, default=64, help="callers in the middle")
    parser.add_argument("--seconds", type=float, nargs=3, default=(20.0, 60.0, 120.0), help="few, many, few")
    parser.add_argument("--least", type=int, default=1, help="replicas; 0: none when idle")
    parser.add_argument("--out", type=Path, help="the report; the plot goes beside it, as .svg")
    arguments = parser.parse_args()
    lines = [machine(), ""]
    with tempfile.TemporaryDirectory() as folder, driven(haproxy=True, cpus=4) as service:
        publish(Path(folder))
        args = {"registry": folder, "tasks": ["hate"], "device": "cpu", "cpus": 0.5, "threads": 1}
        args |= {"min_replicas": arguments.least, "max_replicas": arguments.replicas}
        service.order(deploy=app(args, user_config={}))
        wait_for("one replica runs", lambda: service.settled(1), within_s=180)
        watched = watch(service, arguments.many, tuple(arguments.seconds))
        last = [] if arguments.least else [from_zero(service)]
    lines += [
        f"scratch-1m behind HAProxy, {arguments.least} to {arguments.replicas} replicas of half a processor; "
        "everything else as in serve/settings.py and serve/deploy/production.env. Clients retry three times.",
        "",
        *report(watched, arguments.replicas),
        *last,
    ]
    write("Autoscaling", lines, arguments.out)
    if arguments.out:
        plot(watched, arguments.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
