"""What a request costs around the model: our whole application with a model that does nothing, behind Ray
Serve's own proxy and behind HAProxy, against a FastAPI route on uvicorn that does nothing at all."""

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
    """A run, and the processor seconds of the server's processes by role meanwhile."""

    report: Report
    spent: dict[str, float]

    @property
    def cpu_ms(self) -> float:
        """Of all server processes, idle ones included, for each request."""
        return 1e3 * sum(self.spent.values()) / self.report.requests


def measure(target: Service, plan: Plan) -> Cost:
    """Run a plan against a server.

    Raises:
        RuntimeError: a request failed; what failed is no cheaper way to answer.
    """
    before = processes.usage(target.mark)
    report = run(plan)
    cost = Cost(report, processes.spent(before, processes.usage(target.mark)))
    if report.ok != report.requests:
        raise RuntimeError(f"{plan} against {target.url}: {report.statuses}")
    return cost


@contextmanager
def ours(*, haproxy: bool) -> Iterator[Service]:
    """Our application without a model."""
    args = {"tasks": ["hate"], "max_replicas": 1, "watch_s": 0}
    with service.driven(haproxy=haproxy) as driven:
        driven.order(deploy=service.app(args, user_config={}, build="benchmarks.noop:build"))
        service.wait_for("one replica runs", lambda: driven.settled(1), within_s=service.START_S)
        client.wait_until_ready(driven.url, within_s=service.START_S)
        yield driven


SIDES: dict[str, Callable[[], AbstractContextManager[Service]]] = {
    PLAIN: lambda: service.peer("noop"),
    DEFAULT: lambda: ours(haproxy=False),
    HAPROXY: lambda: ours(haproxy=True),
}


def rounds(count: int, seconds: float) -> dict[tuple[str, int], list[Cost]]:
    """Every side in turn, `count` times, under every number of clients."""
    found: dict[tuple[str, int], list[Cost]] = {(side, c): [] for side in SIDES for c in CLIENTS}
    for number in range(count):
        for side, start in SIDES.items():
            with start() as target:
                measure(target, Plan(url=target.classify_url, clients=max(CLIENTS), seconds=2))  # warm-up
                for clients in CLIENTS:
                    plan = Plan(url=target.classify_url, clients=clients, seconds=seconds)
                    found[side, clients].append(measure(target, plan))
            print(f"round {number + 1} of {count}: {side}", flush=True)
    return found


def table(found: dict[tuple[str, int], list[Cost]]) -> list[str]:
    """A row for each side and number of clients."""
    lines = [
        "| server | clients | CPU-ms/request | requests/s | p50 ms | p99 ms | CPU against plain |",
        "|---|---|---|---|---|---|---|",
    ]
    for (side, clients), costs in found.items():
        plain = found[PLAIN, clients]
        ratio = Spread([a.cpu_ms / b.cpu_ms for a, b in zip(costs, plain, strict=True)])
        cells = [
            Spread([cost.cpu_ms for cost in costs]),
            Spread([cost.report.throughput for cost in costs]),
            Spread([1e3 * cost.report.p50_s for cost in costs]),
            Spread([1e3 * cost.report.p99_s for cost in costs]),
            ratio,
        ]
        lines.append(f"| {side} | {clients} | {' | '.join(map(str, cells))} |")
    return lines


def breakdown(costs: list[Cost]) -> str:
    """CPU-ms for each request by role."""
    names = sorted({name for cost in costs for name in cost.spent})
    each = {
        name: statistics.median(1e3 * cost.spent.get(name, 0.0) / cost.report.requests for cost in costs)
        for name in names
    }
    ordered = sorted(each.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {value:.3f}" for name, value in ordered if value >= 0.0005)


def client_share(found: dict[tuple[str, int], list[Cost]]) -> Spread:
    """CPU-ms of the generator for each request."""
    return Spread([1e3 * c.report.cpu_s / c.report.requests for costs in found.values() for c in costs])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each number of clients")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    lines = [machine(), ""]
    found = rounds(arguments.rounds, arguments.seconds)
    most = max(CLIENTS)
    reached = Spread([cost.cpu_ms for cost in found[HAPROXY, most]])
    verdict = "reached" if reached.median < GOAL_MS else "MISSED"
    lines += [
        f"POST /v1/classify with one short tweet; {arguments.seconds:g} s for each row, median of "
        f"{arguments.rounds} rounds (lowest to highest), every server in turn. CPU-ms are those of all "
        "server processes, idle ones included; the load generator is apart, but shares the processors with "
        f"the server: it takes {client_share(found)} CPU-ms a request, and bounds the requests/s of "
        "uvicorn + FastAPI.",
        "",
        *table(found),
        "",
        *(f"By process at {most} clients, {side}: {breakdown(found[side, most])}." for side in SIDES),
        "",
        f"Goal: under {GOAL_MS} CPU-ms a request with HAProxy at {most} clients. {verdict}: {reached}.",
    ]
    publish("Serving overhead", lines, arguments.out)


if __name__ == "__main__":
    main()
