"""Failed requests and recovery times when processes are killed and versions change.

Two replicas of scratch-1m; Poisson arrivals; clients with two retries. The service has recovered when both
replicas run and no request fails.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import processes
from benchmarks.faults import BAD, RETRIES, FaultTarget, Outcome, fault_target, under_load
from benchmarks.report import OK
from benchmarks.timing import Spread, machine, publish


def kinds(target: FaultTarget, *, haproxy: bool) -> dict[str, list[Callable[[], None]]]:
    """The actions of each kind of fault or update, by name."""
    front = processes.HAPROXY if haproxy else processes.PROXY
    return {
        "SIGKILL of a replica": 20 * [partial(target.kill, processes.REPLICA)],
        "SIGKILL of the controller": 5 * [partial(target.kill, processes.CONTROLLER)],
        f"SIGKILL of the only {front}": 5 * [partial(target.kill, front)],
        "hot swap of the version": 10 * [target.swap_version],
        "rolling update": 10 * [target.update_rolling],
        **{f"bad version: {fault}": [partial(target.deploy_bad, fault)] for fault in BAD},
    }


def row(name: str, outcome: Outcome, names: dict[str, str]) -> str:
    report = outcome.report
    seen = " ".join(f"{names.get(version, version)}:{n}" for version, n in sorted(report.versions.items()))
    failures = ", ".join(f"{n} x {status}" for status, n in report.statuses.items() if status != OK)
    cells = [name, len(outcome.events), report.requests, report.failed + report.refused, failures or "none"]
    cells += [Spread(outcome.recovery_times_s()), f"{1e3 * report.p99_s:.0f}", seen]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=20, help="maximum repetitions of each kind")
    parser.add_argument("--rate", type=float, default=40.0, help="requests per second")
    parser.add_argument("--only", default="", help="run only kinds whose name contains this text")
    parser.add_argument("--no-haproxy", action="store_true", help="use Ray Serve's own proxy")
    parser.add_argument(
        "--env",
        nargs="*",
        default=[],
        metavar="NAME=VALUE",
        help="additional environment variables of Ray Serve",
    )
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    extra = dict(pair.split("=", 1) for pair in arguments.env)
    haproxy, lines = not arguments.no_haproxy, [machine(), ""]
    settings = "".join(f", {pair}" for pair in arguments.env)
    front = "HAProxy" if haproxy else "Ray Serve's proxy"
    lines += [
        f"Two replicas behind {front}, {arguments.rate:g} requests/s{settings}. A request has failed if it "
        f"failed after {RETRIES} retries, 0.1 and 0.2 s apart. Recovery: median (lowest to highest). "
        "p99 covers all successful requests of the kind, retries included.",
        "",
        "| fault or update | times | requests | failed | failed attempts | recovery s | p99 ms | versions |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        fault_target(Path(folder), haproxy=haproxy, **extra) as target,
    ):
        names = {version: name for name, version in target.versions.items()}
        for name, actions in kinds(target, haproxy=haproxy).items():
            if arguments.only in name:
                lines.append(
                    row(name, under_load(target, actions[: arguments.most], rate=arguments.rate), names)
                )
                print(lines[-1], flush=True)
    publish("Serving faults", lines, arguments.out)


if __name__ == "__main__":
    main()
