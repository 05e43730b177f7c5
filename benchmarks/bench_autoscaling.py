"""Measure how fast the service scales up and down when the number of clients changes; optional plot."""

import argparse
import math
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import LoadProcess, Plan
from benchmarks.published import publish
from benchmarks.report import Report
from benchmarks.service import DrivenService, app, driven, wait_for
from benchmarks.timing import machine
from benchmarks.timing import publish as write
from serve import client

IDLE_CLIENTS = 2


@dataclass
class Timeline:
    """Observations over time, in seconds from the start."""

    began: float = field(default_factory=time.time)
    replicas: list[tuple[float, int, int]] = field(default_factory=list)
    """(seconds, running replicas, replicas in any state)"""
    phases: list[tuple[float, int]] = field(default_factory=list)
    """(seconds at which a phase starts, number of clients in it)"""
    reports: list[Report] = field(default_factory=list)

    def load(self, service: DrivenService, clients: int, seconds: float) -> None:
        """Run a load phase of `seconds` with `clients`, and count the replicas every 0.25 s."""
        process = LoadProcess(Plan(url=service.classify_url, clients=clients, seconds=seconds, retries=2))
        try:
            while process.popen.poll() is None:
                self.count(service)
                time.sleep(0.25)
            self.reports.append(process.report())
        finally:
            process.close()
        self.phases.append((self.reports[-1].started - self.began, clients))

    def count(self, service: DrivenService) -> None:
        found = service.replicas()
        if found:
            now = time.time() - self.began
            self.replicas.append((now, found.get("RUNNING", 0), sum(found.values())))

    def seconds_until(self, since: float, wanted: int) -> float:
        """Seconds from `since` until `wanted` replicas run; NaN if that never happens."""
        times = (at - since for at, running, _ in self.replicas if at >= since and running == wanted)
        return next(times, math.nan)


def record(service: DrivenService, many: int, seconds: tuple[float, float, float]) -> Timeline:
    """Run three phases: few clients, `many` clients, few clients."""
    timeline = Timeline()
    for clients, length in zip((IDLE_CLIENTS, many, IDLE_CLIENTS), seconds, strict=True):
        timeline.load(service, clients, length)
    deadline = time.monotonic() + 60
    while timeline.replicas[-1][1] > 1 and time.monotonic() < deadline:
        timeline.count(service)
        time.sleep(0.25)
    return timeline


def scale_from_zero(service: DrivenService) -> str:
    """Wait for scale-down to zero replicas, then time one request (cold start)."""
    idle = time.monotonic()
    wait_for("no replica runs", lambda: service.send(status=True)["replicas"] == {}, within_s=300)
    gone, began = time.monotonic() - idle, time.monotonic()
    client.post(service.classify_url, {"input": "anybody there?"}, timeout_s=120)
    return (
        f"- no requests: zero replicas after {gone:.0f} s; the next request is answered after "
        f"{time.monotonic() - began:.1f} s"
    )


def report(timeline: Timeline, replicas: int) -> list[str]:
    (_, few), (up, many), (down, _) = timeline.phases
    steps = [
        f"{count} replicas after {timeline.seconds_until(up, count):.1f} s"
        for count in range(2, replicas + 1)
    ]
    lines = [
        f"- from {few} to {many} clients: {', '.join(steps)}",
        f"- back to {few}: 1 replica after {timeline.seconds_until(down, 1):.1f} s",
    ]
    for (_, clients), seen in zip(timeline.phases, timeline.reports, strict=True):
        lines.append(
            f"- {clients} clients for {seen.seconds:.0f} s: {seen.ok} ok, {seen.refused} refused, "
            f"{seen.failed} failed of {seen.requests}; {seen.throughput:.0f} ok/s, "
            f"p99 {1e3 * seen.p99_s:.0f} ms"
        )
    return lines


def plot(timeline: Timeline, path: Path) -> None:
    """Plot clients and replicas over time; the suffix of `path` selects PNG or SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    end = timeline.replicas[-1][0]
    starts = [at for at, _ in timeline.phases]
    top.step([*starts, end], [*(n for _, n in timeline.phases), timeline.phases[-1][1]], where="post")
    top.set(ylabel="clients", ylim=(0, None))
    times = [at for at, _, _ in timeline.replicas]
    bottom.step(times, [n for _, _, n in timeline.replicas], where="post", label="started", linestyle=":")
    bottom.step(times, [n for _, n, _ in timeline.replicas], where="post", label="running")
    bottom.set(ylabel="replicas", xlabel="seconds", ylim=(0, None))
    bottom.yaxis.get_major_locator().set_params(integer=True)
    bottom.legend()
    figure.savefig(path)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=3, help="maximum number of replicas, 0.5 CPU each")
    parser.add_argument("--many", type=int, default=64, help="clients in the middle phase")
    parser.add_argument(
        "--seconds", type=float, nargs=3, default=(20.0, 60.0, 120.0), help="length of each phase"
    )
    parser.add_argument("--least", type=int, default=1, help="minimum number of replicas; 0 scales to zero")
    parser.add_argument("--out", type=Path, help="file of the report; the plot is written next to it as .svg")
    arguments = parser.parse_args()
    lines = [machine(), ""]
    with tempfile.TemporaryDirectory() as folder, driven(haproxy=True, cpus=4) as service:
        publish(Path(folder))
        args = {"registry": folder, "tasks": ["hate"], "device": "cpu", "cpus": 0.5, "threads": 1}
        args |= {"answers": 0}
        args |= {"min_replicas": arguments.least, "max_replicas": arguments.replicas}
        service.send(deploy=app(args, user_config={}))
        wait_for("one replica runs", lambda: service.is_stable(1), within_s=180)
        timeline = record(service, arguments.many, tuple(arguments.seconds))
        last = [] if arguments.least else [scale_from_zero(service)]
    lines += [
        f"scratch-1m behind HAProxy, {arguments.least} to {arguments.replicas} replicas with 0.5 CPU each; "
        "other settings: defaults of serve/settings.py and serve/deploy/production.env. Clients retry twice.",
        "",
        *report(timeline, arguments.replicas),
        *last,
    ]
    write("Autoscaling", lines, arguments.out)
    if arguments.out:
        plot(timeline, arguments.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
