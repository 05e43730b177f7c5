"""Load test of `python -m serve --haproxy`: long at 70 % of capacity, then overload, then recovery.

Tweets have the lengths of the hate task's. Arrivals are Poisson, independent of the responses.
"""

import argparse
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.load import run
from benchmarks.report import Report
from benchmarks.stress import CLIENTS, OVERLOAD, STEADY, Stress, only_refusals, recovery_s, stressed
from benchmarks.timing import machine, publish

MEBIBYTE = 2**20
WARM_UP_S = 180.0  # until nearly every batch size has occurred and memory is stable
RECOVERY_LOAD_S = 30.0
NORMAL = 2.0  # recovered: p99 within this multiple of the steady p99
GOODPUT, RECOVERY_S, GROWTH = 0.9, 10.0, 0.02
HEAD = [
    "| load | seconds | requests/s | ok | refused | failed | ok/s | p50 ms | p99 ms | slowest ms |"
    " refusal p99 ms | generator CPU-s |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|",
]


def row(name: str, report: Report) -> str:
    times = (report.p50_s, report.p99_s, report.max_s, report.refusal_p99_s)
    p50, p99, slowest, refusal = ("–" if math.isnan(value) else f"{1e3 * value:.1f}" for value in times)
    cells = [name, f"{report.seconds:.0f}", f"{report.requests / report.seconds:.1f}", report.ok]
    cells += [report.refused, report.failed, f"{report.throughput:.1f}", p50, p99, slowest, refusal]
    return f"| {' | '.join(map(str, [*cells, f'{report.cpu_s:.0f}']))} |"


@dataclass(frozen=True)
class Memory:
    """Resident memory of the replica and of all processes, in bytes."""

    replica: int
    all: int

    @classmethod
    def now(cls, mark: str) -> "Memory":
        found = processes.usage(mark)
        return cls(found[processes.REPLICA].rss, sum(usage.rss for usage in found.values()))

    def __str__(self) -> str:
        return f"{self.replica / MEBIBYTE:.0f} MiB in the replica, {self.all / MEBIBYTE:.0f} in all"

    def growth(self, since: "Memory") -> float:
        """Relative growth of the replica's memory since an earlier measurement."""
        return self.replica / since.replica - 1


def claim(what: str, holds: bool) -> str:
    return f"- {'holds' if holds else 'MISSED'}: {what}"


def steady(stress: Stress, seconds: float) -> tuple[Report, list[str]]:
    """Run the steady load; returns its report and the checked claims."""
    fresh = Memory.now(stress.service.mark)
    run(stress.plan(STEADY, WARM_UP_S))
    before = Memory.now(stress.service.mark)
    report = run(stress.plan(STEADY, seconds))
    after = Memory.now(stress.service.mark)
    growth = after.growth(before)
    return report, [
        claim(
            f"at {STEADY:.0%} of capacity none of {report.requests} requests failed: {report.statuses}",
            report.ok == report.requests,
        ),
        claim(
            f"memory grows by less than {GROWTH:.0%}: {growth:.1%} from {before} to {after}; {fresh} before "
            f"a warm-up of {WARM_UP_S:.0f} s at the same load",
            growth < GROWTH,
        ),
    ]


def overload(stress: Stress, seconds: float, normal_s: float) -> tuple[list[Report], list[str]]:
    """Run the overload, then the steady load; returns both reports and the checked claims.

    `normal_s` is the p99 of the steady load, in seconds.
    """
    report = run(stress.plan(OVERLOAD, seconds))
    after = run(stress.plan(STEADY, RECOVERY_LOAD_S))
    goodput, back = (
        report.throughput / stress.capacity,
        recovery_s(report, seconds, after, NORMAL * normal_s),
    )
    return [report, after], [
        claim(
            f"at {OVERLOAD:g} times capacity every response is 200 or 429 with Retry-After: "
            f"{report.statuses}",
            only_refusals(report) and report.refused > 0,
        ),
        claim(f"goodput is at least {GOODPUT:.0%} of capacity: {goodput:.0%}", goodput >= GOODPUT),
        claim(
            f"p99 is within {NORMAL:g} times the steady p99 at most {RECOVERY_S:g} s after the overload: "
            f"{back:.1f} s",
            back <= RECOVERY_S,
        ),
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="minimum minutes at 70 %% of capacity")
    parser.add_argument("--requests", type=int, default=50_000, help="minimum requests at 70 %% of capacity")
    parser.add_argument("--overload-minutes", type=float, default=5.0, help="minutes of overload")
    parser.add_argument(
        "--capacity-seconds", type=float, default=30.0, help="seconds of the capacity measurement"
    )
    parser.add_argument("--preset", default="scratch-1m", help="shape of the model")
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    lines = [machine(), ""]
    with (
        tempfile.TemporaryDirectory() as folder,
        stressed(Path(folder), seconds=arguments.capacity_seconds, preset=arguments.preset) as (stress, full),
    ):
        print(row("capacity", full), flush=True)
        seconds = max(60 * arguments.minutes, arguments.requests / (STEADY * stress.capacity))
        long, claims = steady(stress, seconds)
        print(row("steady", long), *claims, sep="\n", flush=True)
        (much, after), more = overload(stress, 60 * arguments.overload_minutes, long.p99_s)
    rows = [row(f"{CLIENTS} clients, closed loop", full), row(f"{STEADY:.0%} of capacity", long)]
    rows += [row(f"{OVERLOAD:g} times capacity", much), row(f"{STEADY:.0%} again", after)]
    note = (
        f"{arguments.preset} with random weights, one replica behind HAProxy. The load generator uses the "
        "same CPUs as the service. Latencies count from the time at which a request was due."
    )
    publish("Serving under load", [*lines, note, "", *HEAD, *rows, "", *claims, *more], arguments.out)


if __name__ == "__main__":
    main()
