"""CPU cost of a request outside the model.

Servers: our application with a no-op model behind Ray Serve's own proxy and behind HAProxy, and a no-op
FastAPI route on uvicorn.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes, service
from benchmarks.load import Plan, run
from benchmarks.report import Report
from benchmarks.service import Service
from benchmarks.timing import Spread, machine, publish
from serve import client

CLIENTS = (1, 8, 16)
GOAL_MS = 1.0
PLAIN, DEFAULT, HAPROXY = "uvicorn + FastAPI", "ours, Ray Serve's proxy", "ours, HAProxy"


@dataclass(frozen=True)
class Cost:
    """The report of a run, and the CPU seconds of the server's processes by role."""

    report: Report
    spent: dict[str, float]

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per request of all server processes, including idle ones."""
        return 1e3 * sum(self.spent.values()) / self.report.requests


def measure(target: Service, plan: Plan) -> Cost:
    """Run a plan against a server and measure its CPU time.

    Raises:
        RuntimeError: a request failed, so the cost would be too low.
    """
    before = processes.usage(target.mark)
    report = run(plan)
    cost = Cost(report, processes.spent(before, processes.usage(target.mark)))
    if report.ok != report.requests:
        raise RuntimeError(f"{plan} against {target.url}: {report.statuses}")
    return cost


@contextmanager
def ours(*, haproxy: bool) -> Iterator[Service]:
    """Our application with a no-op model."""
    args = {"tasks": ["hate"], "max_replicas": 1, "watch_s": 0, "answers": 0}
    with service.driven(haproxy=haproxy) as driven:
        driven.send(deploy=service.app(args, user_config={}, build="benchmarks.noop:build"))
        service.wait_for("one replica runs", lambda: driven.is_stable(1), within_s=service.START_S)
        client.wait_until_ready(driven.url, within_s=service.START_S)
        yield driven


SERVERS: dict[str, Callable[[], AbstractContextManager[Service]]] = {
    PLAIN: lambda: service.peer("noop"),
    DEFAULT: lambda: ours(haproxy=False),
    HAPROXY: lambda: ours(haproxy=True),
}


def rounds(count: int, seconds: float) -> dict[tuple[str, int], list[Cost]]:
    """Measure every server in turn, `count` times, with every number of clients."""
    found: dict[tuple[str, int], list[Cost]] = {(server, c): [] for server in SERVERS for c in CLIENTS}
    for number in range(count):
        for server, start in SERVERS.items():
            with start() as target:
                measure(target, Plan(url=target.classify_url, clients=max(CLIENTS), seconds=2))  # warm-up
                for clients in CLIENTS:
                    plan = Plan(url=target.classify_url, clients=clients, seconds=seconds)
                    found[server, clients].append(measure(target, plan))
            print(f"round {number + 1} of {count}: {server}", flush=True)
    return found


def table(found: dict[tuple[str, int], list[Cost]]) -> list[str]:
    """One row per server and number of clients."""
    lines = [
        "| server | clients | CPU-ms/request | requests/s | p50 ms | p99 ms | CPU relative to uvicorn |",
        "|---|---|---|---|---|---|---|",
    ]
    for (server, clients), costs in found.items():
        plain = found[PLAIN, clients]
        ratio = Spread([a.cpu_ms / b.cpu_ms for a, b in zip(costs, plain, strict=True)])
        cells = [
            Spread([cost.cpu_ms for cost in costs]),
            Spread([cost.report.throughput for cost in costs]),
            Spread([1e3 * cost.report.p50_s for cost in costs]),
            Spread([1e3 * cost.report.p99_s for cost in costs]),
            ratio,
        ]
        lines.append(f"| {server} | {clients} | {' | '.join(map(str, cells))} |")
    return lines


def breakdown(costs: list[Cost]) -> str:
    """Median CPU-ms per request by process role."""
    names = sorted({name for cost in costs for name in cost.spent})
    each = {
        name: statistics.median(1e3 * cost.spent.get(name, 0.0) / cost.report.requests for cost in costs)
        for name in names
    }
    ordered = sorted(each.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {value:.3f}" for name, value in ordered if value >= 0.0005)


def client_share(found: dict[tuple[str, int], list[Cost]]) -> Spread:
    """CPU-ms per request of the load generator."""
    return Spread([1e3 * c.report.cpu_s / c.report.requests for costs in found.values() for c in costs])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds per number of clients")
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    lines = [machine(), ""]
    found = rounds(arguments.rounds, arguments.seconds)
    most = max(CLIENTS)
    reached = Spread([cost.cpu_ms for cost in found[HAPROXY, most]])
    verdict = "reached" if reached.median < GOAL_MS else "MISSED"
    lines += [
        f"POST /v1/classify with one short tweet; {arguments.seconds:g} s per row, median of "
        f"{arguments.rounds} rounds (lowest to highest), servers in turn. CPU-ms cover all server processes, "
        "including idle ones, but not the load generator. The generator shares the CPUs with the server. It "
        f"uses {client_share(found)} CPU-ms per request, which limits the requests/s of uvicorn + FastAPI.",
        "",
        *table(found),
        "",
        *(f"By process at {most} clients, {server}: {breakdown(found[server, most])}." for server in SERVERS),
        "",
        f"Goal: under {GOAL_MS} CPU-ms per request with HAProxy at {most} clients. {verdict}: {reached}.",
    ]
    publish("Serving overhead", lines, arguments.out)


if __name__ == "__main__":
    main()
