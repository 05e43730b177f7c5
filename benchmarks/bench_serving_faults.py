"""What callers with two retries see while processes are killed and versions change, again and again.

Two replicas of scratch-1m; Poisson arrivals. Normal is when both replicas run and no request fails.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import processes
from benchmarks.faults import BAD, RETRIES, Outcome, Patient, patient, under_load
from benchmarks.report import OK
from benchmarks.timing import Spread, machine, publish


def kinds(to: Patient, *, haproxy: bool) -> dict[str, list[Callable[[], None]]]:
    """What is done under one load, by name, and how often."""
    front = processes.HAPROXY if haproxy else processes.PROXY
    return {
        "SIGKILL of a replica": 20 * [partial(to.kill, processes.REPLICA)],
        "SIGKILL of the controller": 5 * [partial(to.kill, processes.CONTROLLER)],
        f"SIGKILL of the only {front}": 5 * [partial(to.kill, front)],
        "hot swap of the version": 10 * [to.swap],
        "rolling update": 10 * [to.roll],
        **{f"bad version: {fault}": [partial(to.refuse, fault)] for fault in BAD},
    }


def row(name: str, outcome: Outcome, names: dict[str, str]) -> str:
    report = outcome.report
    seen = " ".join(f"{names.get(version, version)}:{n}" for version, n in sorted(report.versions.items()))
    lost = ", ".join(f"{n} x {status}" for status, n in report.statuses.items() if status != OK)
    cells = [name, len(outcome.events), report.requests, report.failed + report.refused, lost or "none"]
    cells += [Spread(outcome.until_normal()), f"{1e3 * report.p99_s:.0f}", seen]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=20, help="times that a thing is done at most")
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second")
    parser.add_argument("--only", default="", help="only kinds whose name holds this text")
    parser.add_argument("--no-haproxy", action="store_true", help="behind Ray Serve's own proxy")
    parser.add_argument("--env", nargs="*", default=[], metavar="NAME=VALUE", help="for Ray Serve, to try it")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    extra = dict(pair.split("=", 1) for pair in arguments.env)
    haproxy, lines = not arguments.no_haproxy, [machine(), ""]
    said = "".join(f", {pair}" for pair in arguments.env)
    front = "HAProxy" if haproxy else "Ray Serve's proxy"
    lines += [
        f"Two replicas behind {front}, {arguments.rate:g} requests/s{said}. Failed requests are those that "
        f"failed in the end, with {RETRIES} retries after 0.1 and 0.2 s; seconds are the median (lowest to "
        "highest); p99 is of all good answers of the kind, retries included.",
        "",
        "| what | times | requests | failed | tries that failed | seconds until normal | p99 ms | versions |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder, patient(Path(folder), haproxy=haproxy, **extra) as to:
        names = {version: name for name, version in to.versions.items()}
        for name, acts in kinds(to, haproxy=haproxy).items():
            if arguments.only in name:
                lines.append(row(name, under_load(to, acts[: arguments.most], rate=arguments.rate), names))
                print(lines[-1], flush=True)
    publish("Serving faults", lines, arguments.out)


if __name__ == "__main__":
    main()
