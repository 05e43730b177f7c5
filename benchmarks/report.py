"""The results of a load generator: a tally of requests, and the report computed from it."""

import json
import math
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

OK = "200"
REFUSED = "429"
KEPT_FAILURES = 1000


@dataclass(frozen=True, kw_only=True)
class Second:
    """Counts of the requests that were due in one second of the run."""

    ok: int
    refused: int
    failed: int
    retried: int
    p99_s: float | None
    """p99 latency of successful requests; None if there are none."""
    versions: list[str]


@dataclass(frozen=True, kw_only=True)
class Report:
    """The report of a run of the load generator.

    Every request is ok (200), refused (429 with Retry-After) or failed (another status, no response, or 429
    without Retry-After). With retries, the last attempt counts. Latencies cover successful requests, in
    seconds from the time at which the request was due, retries included.
    """

    load: str
    started: float
    """Unix time at which the first request was due."""
    seconds: float
    """Seconds from `started` to the last response."""
    requests: int
    ok: int
    refused: int
    failed: int
    retried: int
    """Requests with more than one attempt."""
    statuses: dict[str, int]
    """Attempts by status or exception."""
    p50_s: float
    p99_s: float
    max_s: float
    refusal_p99_s: float
    versions: dict[str, int]
    timeline: list[Second]
    """By the second in which a request was due."""
    failures: list[tuple[float, float, str]]
    """(due, ended, status) of the first failed requests, in Unix time."""
    cpu_s: float
    """CPU seconds of the load generator."""

    @property
    def throughput(self) -> float:
        """Successful requests per second."""
        return self.ok / self.seconds

    def window(self, begin: float, end: float) -> list[Second]:
        """The seconds of the timeline that lie completely between two Unix times."""
        first, last = math.ceil(begin - self.started), math.floor(end - self.started)
        return self.timeline[max(0, first) : max(0, last)]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Report":
        values = json.loads(path.read_text(encoding="utf-8"))
        values["timeline"] = [Second(**second) for second in values["timeline"]]
        values["failures"] = [tuple(failure) for failure in values["failures"]]
        return cls(**values)


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that is >= a fraction `share` of all values; NaN if there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


@dataclass
class _Bucket:
    ok: int = 0
    refused: int = 0
    failed: int = 0
    retried: int = 0
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    versions: set[str] = field(default_factory=set)


class Tally:
    """Counts requests, with eight bytes per request, so that a run can last for hours."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.failures: list[tuple[float, float, str]] = []
        self._refusals = array("d")
        self._seconds: list[_Bucket] = []

    def attempt(self, status: str) -> None:
        """Count an attempt, final or not."""
        self.statuses[status] += 1

    def add(self, due_s: float, over_s: float, status: str, *, tries: int, version: str | None) -> None:
        """Count a finished request. Times are in seconds from the start of the run."""
        while len(self._seconds) <= int(due_s):
            self._seconds.append(_Bucket())
        bucket = self._seconds[int(due_s)]
        bucket.retried += tries > 1
        if status == OK:
            bucket.ok += 1
            bucket.latencies.append(over_s - due_s)
        elif status == REFUSED:
            bucket.refused += 1
            self._refusals.append(over_s - due_s)
        else:
            bucket.failed += 1
            if len(self.failures) < KEPT_FAILURES:
                self.failures.append((due_s, over_s, status))
        if version:
            bucket.versions.add(version)
            self.versions[version] += 1

    def report(self, load: str, *, started: float, seconds: float, cpu_s: float) -> Report:
        latencies = sorted(value for bucket in self._seconds for value in bucket.latencies)
        ok, refused, failed, retried = (
            sum(getattr(bucket, name) for bucket in self._seconds)
            for name in ("ok", "refused", "failed", "retried")
        )
        return Report(
            load=load,
            started=started,
            seconds=seconds,
            requests=ok + refused + failed,
            ok=ok,
            refused=refused,
            failed=failed,
            retried=retried,
            statuses=dict(self.statuses),
            p50_s=percentile(latencies, 0.5),
            p99_s=percentile(latencies, 0.99),
            max_s=latencies[-1] if latencies else math.nan,
            refusal_p99_s=percentile(self._refusals, 0.99),
            versions=dict(self.versions),
            timeline=[_second(bucket) for bucket in self._seconds],
            failures=[(started + due, started + over, status) for due, over, status in self.failures],
            cpu_s=cpu_s,
        )


def _second(bucket: _Bucket) -> Second:
    return Second(
        ok=bucket.ok,
        refused=bucket.refused,
        failed=bucket.failed,
        retried=bucket.retried,
        p99_s=percentile(bucket.latencies, 0.99) if bucket.latencies else None,
        versions=sorted(bucket.versions),
    )
