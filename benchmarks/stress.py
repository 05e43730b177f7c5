"""A service asked for all it can do, then for less, for more, and for less again."""

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
CALM = 3


@dataclass(frozen=True)
class Stress:
    """The service, the file of tweets to send, and its capacity in good answers a second."""

    service: Service
    tweets: Path
    capacity: float

    def plan(self, share: float, seconds: float) -> Plan:
        """Independent arrivals at a share of the capacity."""
        base = Plan(url=self.service.classify_url, rate=share * self.capacity, seconds=seconds, poisson=True)
        return dataclasses.replace(base, tweets=self.tweets)


def measure_capacity(target: Service, texts: Path, seconds: float) -> Report:
    """A closed loop of as many callers as keep it busy, after a short one that warms it up."""
    plan = Plan(url=target.classify_url, clients=CLIENTS, seconds=seconds, tweets=texts)
    run(dataclasses.replace(plan, seconds=3.0))
    return run(plan)


def only_refusals(report: Report) -> bool:
    """Whether all that was not answered was refused with a time to come back."""
    return report.statuses.keys() <= {OK, REFUSED}


def normal_again(overload: Report, planned_s: float, after: Report, limit_s: float) -> float:
    """Seconds from the last arrival of the overload to the first of `CALM` seconds in a row whose p99 is
    under the limit; infinite if there are none."""
    gap = after.started - (overload.started + planned_s)
    calm = [second.p99_s is not None and second.p99_s <= limit_s for second in after.timeline]
    starts = range(len(calm) - CALM + 1)
    return next((gap + start for start in starts if all(calm[start : start + CALM])), math.inf)


@contextmanager
def stressed(folder: Path, *, seconds: float, preset: str = "scratch-1m") -> Iterator[tuple[Stress, Report]]:
    """`python -m serve --haproxy` with a model of this shape, and how its capacity was measured."""
    registry, texts = folder / "models", folder / "tweets.json"
    publish(registry, preset)
    texts.write_text(json.dumps(tweets(500, tokenizer_of(preset))), encoding="utf-8")
    with service.command(registry) as target:
        report = measure_capacity(target, texts, seconds)
        yield Stress(target, texts, report.throughput), report
