"""The 270M shape over HTTP: our service behind HAProxy, transformers' pipeline as tutorials put it behind
FastAPI, and the same with careful batches; against the bare model on the same tweets.

All have the same random weights, and are sent the same texts, as long as the hate task's tweets. All run all
the time and take turns, for a machine may be twice as fast a minute later.
"""

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import processes, service
from benchmarks.load import Plan, run
from benchmarks.published import publish, tokenizer_of, tweets
from benchmarks.report import Report, percentile
from benchmarks.service import Service
from benchmarks.timing import Spread, machine
from benchmarks.timing import publish as write
from serve import client
from tweetelm import registry as versions
from tweetelm.predictor import Predictor

OURS, PIPELINE, BATCHED, BARE = "ours", "pipeline", "batched", "bare model"
CLIENTS = (1, 8, 64)
STEADY = 0.7
CPUS = os.cpu_count() or 1
MEBIBYTE = 2**20
TIMEOUT_S = 120.0  # the pipeline's queue may be long, and is no failure
GOALS = {PIPELINE: 8.0, BATCHED: 2.0, BARE: 0.9}
GOAL_FORWARDS = 3.0


class Bare:
    """The model without a service, in this process."""

    def __init__(self, folder: Path, texts: list[str]) -> None:
        self.predictor, self.texts = Predictor.load(folder), texts
        self.predictor.predict(texts)
        self._next = itertools.cycle(texts)

    def rate(self, seconds: float) -> float:
        """Tweets a second, all tweets at once, for at least so long."""
        began, rounds = time.perf_counter(), 0
        while (took := time.perf_counter() - began) < seconds:
            self.predictor.predict(self.texts)
            rounds += 1
        return rounds * len(self.texts) / took

    def alone_s(self, count: int = 32) -> float:
        """Seconds of a tweet by itself, the median."""
        seconds = []
        for text in itertools.islice(self._next, count):
            began = time.perf_counter()
            self.predictor.predict([text])
            seconds.append(time.perf_counter() - began)
        return percentile(seconds, 0.5)


@dataclass(frozen=True)
class Run:
    """One plan against one server; `cpu_s` of the server's processes."""

    report: Report
    cpu_s: float


def measure(target: Service, plan: Plan) -> Run:
    before = processes.usage(target.mark)
    report = run(plan)
    spent = processes.spent(before, processes.usage(target.mark))
    return Run(report, sum(spent.values()))


def memory(target: Service) -> str:
    """Of the process that holds the model, and of all of the server."""
    found = processes.usage(target.mark)
    holder = found.get(processes.REPLICA, found.get("other"))
    assert holder is not None
    everything = sum(usage.rss for usage in found.values())
    return (
        f"{holder.rss / holder.count / MEBIBYTE:.0f} MiB with the model, {everything / MEBIBYTE:.0f} in all"
    )


def cold_start(target: Service) -> float:
    """Seconds from the SIGKILL of the only replica until a tweet is classified again."""
    began = time.monotonic()
    processes.kill(target.mark, processes.REPLICA)

    def answers() -> bool:
        try:
            client.post(target.classify_url, {"input": "x"}, timeout_s=30)
        except (client.RefusedError, OSError):
            return False
        return True

    service.wait_for("it answers again", answers, within_s=service.START_S, every_s=0.05)
    return time.monotonic() - began


@dataclass(frozen=True)
class Bench:
    """The versions, texts and durations of one run."""

    registry: Path
    version: Path
    texts: Path
    seconds: float
    clients: tuple[int, ...]

    def sides(self) -> dict[str, Callable[[], AbstractContextManager[Service]]]:
        """Ours last: its turn with the most clients lies between the batches' and the bare model's."""
        return {
            PIPELINE: lambda: service.peer("pipeline", model=self.version),
            BATCHED: lambda: service.peer("batched", model=self.version),
            OURS: lambda: service.command(self.registry),
        }

    def closed(self, target: Service, clients: int) -> Plan:
        url = target.classify_url
        return Plan(url=url, clients=clients, seconds=self.seconds, tweets=self.texts, timeout_s=TIMEOUT_S)

    def open(self, target: Service, rate: float) -> Plan:
        """Independent arrivals; longer, for a p99 needs many requests."""
        plan = Plan(url=target.classify_url, rate=rate, seconds=6 * self.seconds, poisson=True)
        return dataclasses.replace(plan, tweets=self.texts, timeout_s=TIMEOUT_S)


@dataclass
class Found:
    """What came out: a value for each round, in order."""

    closed: dict[tuple[str, int], list[Run]] = dataclasses.field(default_factory=dict)
    bare: list[float] = dataclasses.field(default_factory=list)
    idle: list[float] = dataclasses.field(default_factory=list)
    """Processors that the idle servers took from the bare model; its rate is what it would be with those."""
    open: dict[str, Run] = dataclasses.field(default_factory=dict)
    alone_s: list[float] = dataclasses.field(default_factory=list)
    """A tweet by itself in the bare model, before and after the open loops."""
    memory: dict[str, str] = dataclasses.field(default_factory=dict)
    cold_start_s: list[float] = dataclasses.field(default_factory=list)

    def best(self, side: str) -> Spread:
        """Requests a second with whatever number of clients suits the side best."""
        if side == BARE:
            return Spread(self.bare)
        rates = [
            Spread([one.report.throughput for one in runs])
            for (name, _), runs in self.closed.items()
            if name == side
        ]
        return max(rates, key=lambda rate: rate.median)

    def times(self, side: str) -> Spread:
        """Our throughput by the side's, round by round."""
        pairs = zip(self.best(OURS).rounds, self.best(side).rounds, strict=True)
        return Spread([ours / other for ours, other in pairs])


def compare(bench: Bench, model: Bare, rounds: int, starts: int) -> Found:
    """All servers in turn, and the bare model."""
    found = Found()
    with contextlib.ExitStack() as stack:
        targets = {side: stack.enter_context(start()) for side, start in bench.sides().items()}
        for target in targets.values():
            run(dataclasses.replace(bench.closed(target, 8), seconds=min(10.0, bench.seconds)))
        for number in range(rounds):
            for clients, (side, target) in itertools.product(bench.clients, targets.items()):
                found.closed.setdefault((side, clients), []).append(
                    measure(target, bench.closed(target, clients))
                )
            before, began = _cpu_s(targets), time.monotonic()
            rate = model.rate(bench.seconds)
            found.idle.append((_cpu_s(targets) - before) / (time.monotonic() - began))
            found.bare.append(rate / (1 - found.idle[-1] / CPUS))
            print(f"round {number + 1} of {rounds}", flush=True)
        rate = STEADY * found.best(OURS).median
        for side, target in targets.items():
            if side == OURS or rate < found.best(side).median:  # else its queue only grows
                found.alone_s.append(model.alone_s())
                found.open[side] = measure(target, bench.open(target, rate))
                found.alone_s.append(model.alone_s())
            found.memory[side] = memory(target)
        found.cold_start_s = [cold_start(targets[OURS]) for _ in range(starts)]
    return found


def _cpu_s(targets: dict[str, Service]) -> float:
    return sum(one.cpu_s for target in targets.values() for one in processes.usage(target.mark).values())


def row(side: str, load: str, runs: list[Run]) -> str:
    reports = [one.report for one in runs]
    ok, others = sum(one.ok for one in reports), sum(one.refused + one.failed for one in reports)
    values = [
        Spread([one.throughput for one in reports]),
        Spread([1e3 * one.p50_s for one in reports]),
        Spread([1e3 * one.p99_s for one in reports]),
        Spread([1e3 * one.cpu_s / max(1, one.report.requests) for one in runs]),
        Spread([1e3 * one.cpu_s / max(1, one.requests) for one in reports]),
    ]
    return f"| {side} | {load} | {ok} | {others} | {' | '.join(map(str, values))} |"


def table(found: Found) -> list[str]:
    lines = ["| server | load | ok | others | ok/s | p50 ms | p99 ms | CPU-ms/request | of the generator |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    lines += [row(side, f"{clients} clients", runs) for (side, clients), runs in sorted(found.closed.items())]
    return lines + [row(side, one.report.load, [one]) for side, one in found.open.items()]


def verdicts(found: Found) -> list[str]:
    """Each goal, and what came out."""
    told = []
    for side, goal in GOALS.items():
        times = found.times(side)
        what = f"{times} times the throughput of the {side}; goal: at least {goal:g}"
        told.append(_verdict(times.median >= goal, what))
    alone_s = percentile(found.alone_s, 0.5)
    forwards = found.open[OURS].report.p99_s / alone_s
    what = (
        f"p99 at {STEADY:.0%} load is {forwards:.1f} forward passes of one tweet ({1e3 * alone_s:.0f} ms); "
        f"goal: under {GOAL_FORWARDS:g}"
    )
    told.append(_verdict(forwards < GOAL_FORWARDS, what))
    if starts := ", ".join(f"{seconds:.1f}" for seconds in found.cold_start_s):
        told.append(f"- from the SIGKILL of the replica to the next answer: {starts} s")
    return told + [f"- memory, {side}: {text}" for side, text in found.memory.items()]


def _verdict(good: bool, what: str) -> str:
    return f"- {'reached' if good else 'MISSED'}: {what}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="openelm-270m", help="scratch-4m for a quick look")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument(
        "--seconds", type=float, default=15.0, help="of each turn; open loops: six times that"
    )
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--tweets", type=int, default=256)
    parser.add_argument("--starts", type=int, default=3, help="cold starts")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    lines = [machine(), ""]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        registry, file = folder / "models", folder / "tweets.json"
        publish(registry, arguments.preset)
        texts = tweets(arguments.tweets, tokenizer_of(arguments.preset))
        file.write_text(json.dumps(texts), encoding="utf-8")
        version = versions.resolve("hate", registry=str(registry))
        bench = Bench(registry, version, file, arguments.seconds, tuple(arguments.clients))
        found = compare(bench, Bare(version, texts), arguments.rounds, arguments.starts)
    lines += [
        f"{arguments.preset}, random weights; {arguments.tweets} tweets with the lengths of the real ones, "
        f"one to a request; turns of {arguments.seconds:g} s, median of {arguments.rounds} rounds (lowest to "
        f"highest), ratios within a round. The bare model (Predictor.predict, all tweets at once) does "
        f"{found.best(BARE)} tweets/s with {torch.get_num_threads()} threads; added to what was measured is "
        f"the share of the {Spread(found.idle)} processors that the idle servers took meanwhile. The load "
        "generator shares the processors.",
        "",
        *table(found),
        "",
        *verdicts(found),
    ]
    write("Serving", lines, arguments.out)


if __name__ == "__main__":
    main()
