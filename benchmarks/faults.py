"""Misfortunes and changes that befall a service with two replicas while callers go on asking."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.load import Plan, Running
from benchmarks.published import publish
from benchmarks.report import Report
from benchmarks.service import Driven, app, driven, wait_for
from serve import client

REPLICAS = 2
RETRIES = 2
NORMAL_WITHIN_S = 120.0
PROBES = 12  # the balancer gives either replica its turn: so many in a row have seen both
BAD = {
    "missing": "FileNotFoundError",
    "tampered": "ValueError",
    "not a number": "ValueError",
    "of another task": "ValueError",
}
"""Versions that cannot be served, and the error that each must end with."""


@dataclass(frozen=True)
class Event:
    """When something was done, and when the service was as it should be again; in unix time."""

    began: float
    settled: float


@dataclass(frozen=True)
class Outcome:
    """A load, and what was done meanwhile."""

    events: list[Event]
    report: Report

    def until_normal(self) -> list[float]:
        """Seconds from each event until all replicas were there and no request failed."""
        ends = [*(event.began for event in self.events[1:]), float("inf")]
        return [
            max(
                [event.settled, *(over for due, over, _ in self.report.failures if event.began < over <= end)]
            )
            - event.began
            for event, end in zip(self.events, ends, strict=True)
        ]


class Patient:
    """The service, and the ways to harm and change it. Each of them returns once all is well again.

    `versions` are by name: "a", "b", and those of `BAD`.
    """

    def __init__(self, service: Driven, registry: Path, versions: Mapping[str, str]) -> None:
        self.service = service
        self.versions = versions
        self.served = "a"
        self.args = {"registry": str(registry), "tasks": ["hate"], "device": "cpu", "cpus": 0.5, "threads": 1}
        self.args |= {"min_replicas": REPLICAS, "max_replicas": REPLICAS, "batch_tokens": 2048}

    def _deploy(self, version: str) -> None:
        config = {"versions": {"hate": self.versions[version]}}
        self.service.order(deploy=app(self.args, user_config=config))

    def start(self) -> None:
        self._deploy(self.served)
        self._settle()

    def kill(self, role: str) -> None:
        """SIGKILL to one process; well again when its successor works."""
        killed = processes.kill(self.service.mark, role)
        wanted = {role: 1} | {processes.REPLICA: REPLICAS}

        def replaced() -> bool:
            found = processes.by_role(self.service.mark)
            gone = all(process.pid != killed for process in found.get(role, []))
            return gone and all(len(found.get(name, [])) >= count for name, count in wanted.items())

        wait_for(f"the {role} is replaced", replaced, within_s=NORMAL_WITHIN_S)
        self._settle()

    def swap(self) -> None:
        """The other good version, by `user_config` alone."""
        self.served = "b" if self.served == "a" else "a"
        self._deploy(self.served)
        self._settle()

    def roll(self) -> None:
        """A changed argument, for which every replica is replaced."""
        before = self._replicas()
        self.args["batch_tokens"] = 2047 if self.args["batch_tokens"] == 2048 else 2048
        self._deploy(self.served)
        wait_for("all replicas are new", lambda: not before & self._replicas(), within_s=NORMAL_WITHIN_S)
        self._settle()

    def refuse(self, fault: str) -> None:
        """A bad version is asked for, shows in /info, and is taken back; the good one answers all along."""
        self._deploy(fault)
        self._wait_for_probes(lambda info: (info["reload_error"] or "").startswith(BAD[fault]))
        self._deploy(self.served)
        self._settle()

    def _replicas(self) -> set[int]:
        return {process.pid for process in processes.by_role(self.service.mark).get(processes.REPLICA, [])}

    def _settle(self) -> None:
        """Until both replicas run and serve what they should."""
        wait_for("two replicas run", lambda: self.service.settled(REPLICAS), within_s=NORMAL_WITHIN_S)
        self._wait_for_probes(lambda info: info["reload_error"] is None)

    def _wait_for_probes(self, good: Callable[[dict[str, Any]], bool]) -> None:
        """Until many answers of /info in a row are good, and name the version that should be served."""
        expected = self.versions[self.served]

        def all_good() -> bool:
            found = [self._info() for _ in range(PROBES)]
            return all(one and one["models"]["hate"]["version"] == expected and good(one) for one in found)

        wait_for(f"/info is as it should be with {self.served}", all_good, within_s=NORMAL_WITHIN_S)

    def _info(self) -> dict[str, Any] | None:
        try:
            return client.get(f"{self.service.url}/info", timeout_s=5)
        except (client.RefusedError, OSError):
            return None


@contextmanager
def patient(registry: Path, *, haproxy: bool, **extra: str) -> Iterator[Patient]:
    """Two replicas of half a processor each, with version "a". `extra` are environment variables."""
    versions = {"a": publish(registry, seed=1), "b": publish(registry, seed=2), "missing": "20200101-000000"}
    for fault in ("tampered", "not a number", "of another task"):
        versions[fault] = publish(registry, fault=fault)
    with driven(haproxy=haproxy, cpus=4, **extra) as service:
        found = Patient(service, registry, versions)
        found.start()
        yield found


def under_load(
    to: Patient, acts: list[Callable[[], None]], *, rate: float, calm_s: float = 2.0, retries: int = RETRIES
) -> Outcome:
    """What callers with retries see while things are done one after the other, `calm_s` apart."""
    url = to.service.classify_url
    running = Running(Plan(url=url, rate=rate, seconds=24 * 3600, retries=retries, poisson=True))
    try:
        events = []
        time.sleep(calm_s)
        for act in acts:
            began = time.time()
            act()
            events.append(Event(began, time.time()))
            time.sleep(calm_s)
        return Outcome(events, running.stop())
    finally:
        running.close()
