"""Fault injection and updates on a service with two replicas under load."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.load import LoadProcess, Plan
from benchmarks.published import publish
from benchmarks.report import Report
from benchmarks.service import DrivenService, app, driven, wait_for
from serve import client

REPLICAS = 2
RETRIES = 2
RECOVERY_TIMEOUT_S = 120.0
PROBES = 12  # enough to reach both replicas through the load balancer
BAD = {
    "missing": "FileNotFoundError",
    "tampered": "ValueError",
    "not a number": "ValueError",
    "of another task": "ValueError",
}
"""Versions that cannot be served, and the error that each must cause."""


@dataclass(frozen=True)
class Event:
    """When a fault or update started, and when the service had recovered; Unix time."""

    started: float
    recovered: float


@dataclass(frozen=True)
class Outcome:
    """The events during a load, and the report of the load."""

    events: list[Event]
    report: Report

    def recovery_times_s(self) -> list[float]:
        """Seconds from each event until all replicas run and no request fails."""
        ends = [*(event.started for event in self.events[1:]), float("inf")]
        return [
            max(
                [
                    event.recovered,
                    *(over for due, over, _ in self.report.failures if event.started < over <= end),
                ]
            )
            - event.started
            for event, end in zip(self.events, ends, strict=True)
        ]


class FaultTarget:
    """A service, with methods that inject faults and updates. Each returns when the service has recovered.

    `versions` maps "a", "b" and the keys of `BAD` to versions in the registry.
    """

    def __init__(self, service: DrivenService, registry: Path, versions: Mapping[str, str]) -> None:
        self.service = service
        self.versions = versions
        self.served = "a"
        self.args = {"registry": str(registry), "tasks": ["hate"], "device": "cpu", "cpus": 0.5, "threads": 1}
        self.args |= {"min_replicas": REPLICAS, "max_replicas": REPLICAS, "batch_tokens": 2048, "answers": 0}

    def _deploy(self, version: str) -> None:
        config = {"versions": {"hate": self.versions[version]}}
        self.service.send(deploy=app(self.args, user_config=config))

    def start(self) -> None:
        self._deploy(self.served)
        self._wait_until_recovered()

    def kill(self, role: str) -> None:
        """Send SIGKILL to one process of a role and wait for its replacement."""
        killed = processes.kill(self.service.mark, role)
        wanted = {role: 1} | {processes.REPLICA: REPLICAS}

        def replaced() -> bool:
            found = processes.by_role(self.service.mark)
            gone = all(process.pid != killed for process in found.get(role, []))
            return gone and all(len(found.get(name, [])) >= count for name, count in wanted.items())

        wait_for(f"the {role} is replaced", replaced, within_s=RECOVERY_TIMEOUT_S)
        self._wait_until_recovered()

    def swap_version(self) -> None:
        """Switch to the other good version through `user_config`."""
        self.served = "b" if self.served == "a" else "a"
        self._deploy(self.served)
        self._wait_until_recovered()

    def update_rolling(self) -> None:
        """Change an argument of the application, so that every replica is replaced."""
        before = self._replicas()
        self.args["batch_tokens"] = 2047 if self.args["batch_tokens"] == 2048 else 2048
        self._deploy(self.served)
        wait_for("all replicas are new", lambda: not before & self._replicas(), within_s=RECOVERY_TIMEOUT_S)
        self._wait_until_recovered()

    def deploy_bad(self, fault: str) -> None:
        """Deploy a bad version, wait until /info reports its error, and deploy the good one again."""
        self._deploy(fault)
        self._wait_for_probes(lambda info: (info["reload_error"] or "").startswith(BAD[fault]))
        self._deploy(self.served)
        self._wait_until_recovered()

    def _replicas(self) -> set[int]:
        return {process.pid for process in processes.by_role(self.service.mark).get(processes.REPLICA, [])}

    def _wait_until_recovered(self) -> None:
        """Wait until both replicas run and serve the expected version without an error."""
        wait_for("two replicas run", lambda: self.service.is_stable(REPLICAS), within_s=RECOVERY_TIMEOUT_S)
        self._wait_for_probes(lambda info: info["reload_error"] is None)

    def _wait_for_probes(self, good: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until `PROBES` /info responses in a row are good and name the expected version."""
        expected = self.versions[self.served]

        def all_good() -> bool:
            found = [self._info() for _ in range(PROBES)]
            return all(one and one["models"]["hate"]["version"] == expected and good(one) for one in found)

        wait_for(f"every /info response matches version {self.served}", all_good, within_s=RECOVERY_TIMEOUT_S)

    def _info(self) -> dict[str, Any] | None:
        try:
            return client.get(f"{self.service.url}/info", timeout_s=5)
        except (client.RefusedError, OSError):
            return None


@contextmanager
def fault_target(registry: Path, *, haproxy: bool, **extra: str) -> Iterator[FaultTarget]:
    """A service with version "a" on two replicas of 0.5 CPU each.

    `extra` are additional environment variables of Ray Serve.
    """
    versions = {"a": publish(registry, seed=1), "b": publish(registry, seed=2), "missing": "20200101-000000"}
    for fault in ("tampered", "not a number", "of another task"):
        versions[fault] = publish(registry, fault=fault)
    with driven(haproxy=haproxy, cpus=4, **extra) as service:
        found = FaultTarget(service, registry, versions)
        found.start()
        yield found


def under_load(
    target: FaultTarget,
    actions: list[Callable[[], None]],
    *,
    rate: float,
    pause_s: float = 2.0,
    retries: int = RETRIES,
) -> Outcome:
    """Run the actions in order, `pause_s` apart, under Poisson load from clients with retries."""
    url = target.service.classify_url
    process = LoadProcess(Plan(url=url, rate=rate, seconds=24 * 3600, retries=retries, poisson=True))
    try:
        events = []
        time.sleep(pause_s)
        for action in actions:
            started = time.time()
            action()
            events.append(Event(started, time.time()))
            time.sleep(pause_s)
        return Outcome(events, process.stop())
    finally:
        process.close()
