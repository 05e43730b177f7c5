"""A service under open-loop load at given fractions of its measured capacity."""

import dataclasses
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import service
from benchmarks.load import Plan, run
from benchmarks.published import publish, tokenizer_of, tweets
from benchmarks.report import OK, REFUSED, Report
from benchmarks.service import Service

CLIENTS = 32
STEADY = 0.7
OVERLOAD = 2.0
NORMAL_SECONDS = 3


@dataclass(frozen=True)
class Stress:
    """The service, the file of tweets to send, and its capacity in successful requests per second."""

    service: Service
    tweets: Path
    capacity: float

    def plan(self, share: float, seconds: float) -> Plan:
        """A plan with Poisson arrivals at the fraction `share` of the capacity."""
        base = Plan(url=self.service.classify_url, rate=share * self.capacity, seconds=seconds, poisson=True)
        return dataclasses.replace(base, tweets=self.tweets)


def measure_capacity(target: Service, texts: Path, seconds: float) -> Report:
    """Measure the capacity with a closed loop of `CLIENTS` clients, after a warm-up of 3 s."""
    plan = Plan(url=target.classify_url, clients=CLIENTS, seconds=seconds, tweets=texts)
    run(dataclasses.replace(plan, seconds=3.0))
    return run(plan)


def only_refusals(report: Report) -> bool:
    """Whether every response was 200 or 429 with Retry-After."""
    return report.statuses.keys() <= {OK, REFUSED}


def recovery_s(overload: Report, planned_s: float, after: Report, limit_s: float) -> float:
    """Seconds from the end of the overload until p99 is within the limit again; infinite if it never is.

    p99 must stay within `limit_s` for `NORMAL_SECONDS` seconds in a row.
    """
    gap = after.started - (overload.started + planned_s)
    normal = [second.p99_s is not None and second.p99_s <= limit_s for second in after.timeline]
    starts = range(len(normal) - NORMAL_SECONDS + 1)
    return next((gap + start for start in starts if all(normal[start : start + NORMAL_SECONDS])), math.inf)


@contextmanager
def stressed(folder: Path, *, seconds: float, preset: str = "scratch-1m") -> Iterator[tuple[Stress, Report]]:
    """Run `python -m serve --haproxy` with a model of this shape; yields it with its capacity report."""
    registry, texts = folder / "models", folder / "tweets.json"
    publish(registry, preset)
    texts.write_text(json.dumps(tweets(500, tokenizer_of(preset))), encoding="utf-8")
    with service.command(registry) as target:
        report = measure_capacity(target, texts, seconds)
        yield Stress(target, texts, report.throughput), report
