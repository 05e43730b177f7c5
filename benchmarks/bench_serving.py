"""Serving throughput and latency of the 270M shape over HTTP.

Servers: ours behind HAProxy; a transformers pipeline behind FastAPI, as in tutorials; the same with batching
by length. The bare model on the same tweets is the reference. All have the same random weights and get the
same texts, with the lengths of the hate task's tweets. Ours runs a second time with kept answers and texts of
which a third repeat an earlier one. All servers run throughout and are measured in turn, because the speed of
the machine changes over time.
"""

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import processes, service
from benchmarks.load import Plan, run
from benchmarks.published import a_third_repeated, publish, tokenizer_of, tweets
from benchmarks.report import Report, percentile
from benchmarks.service import Service
from benchmarks.timing import Spread, machine
from benchmarks.timing import publish as write
from serve import client
from tweetelm import registry as versions
from tweetelm.predictor import Predictor

OURS, PIPELINE, BATCHED, BARE = "ours", "pipeline", "batched", "bare model"
KEPT = "ours, a third repeated, answers kept"
CLIENTS = (1, 8, 64)
STEADY = 0.7
CPUS = os.cpu_count() or 1
MEBIBYTE = 2**20
REPEATED = 9_000  # tweets: more than a run sends; more would have equal texts beyond a third
ANSWERS = 100_000  # kept
TIMEOUT_S = 120.0  # a long wait in the pipeline's queue is not a failure
GOALS = {PIPELINE: 8.0, BATCHED: 2.0, BARE: 0.9}
GOAL_FORWARD_PASSES = 5.0


class Bare:
    """The model without a service, in this process."""

    def __init__(self, folder: Path, texts: list[str]) -> None:
        self.predictor, self.texts = Predictor.load(folder), texts
        self.predictor.predict(texts)
        self._next = itertools.cycle(texts)

    def rate(self, seconds: float) -> float:
        """Tweets per second with all tweets in one call, measured for at least `seconds`."""
        began, rounds = time.perf_counter(), 0
        while (took := time.perf_counter() - began) < seconds:
            self.predictor.predict(self.texts)
            rounds += 1
        return rounds * len(self.texts) / took

    def single_s(self, count: int = 32) -> float:
        """Median seconds of a single-tweet forward pass."""
        seconds = []
        for text in itertools.islice(self._next, count):
            began = time.perf_counter()
            self.predictor.predict([text])
            seconds.append(time.perf_counter() - began)
        return percentile(seconds, 0.5)


@dataclass(frozen=True)
class Run:
    """The report of one load plan, and the CPU seconds of the server's processes."""

    report: Report
    cpu_s: float


def measure(target: Service, plan: Plan) -> Run:
    before = processes.usage(target.mark)
    report = run(plan)
    spent = processes.spent(before, processes.usage(target.mark))
    return Run(report, sum(spent.values()))


def memory(target: Service) -> str:
    """Resident memory of the process with the model, and of the whole server, in words."""
    found = processes.usage(target.mark)
    holder = found.get(processes.REPLICA, found.get("other"))
    assert holder is not None
    everything = sum(usage.rss for usage in found.values())
    return (
        f"{holder.rss / holder.count / MEBIBYTE:.0f} MiB with the model, {everything / MEBIBYTE:.0f} in all"
    )


def cold_start(target: Service) -> float:
    """Seconds from SIGKILL of the only replica to the next successful response."""
    began = time.monotonic()
    processes.kill(target.mark, processes.REPLICA)

    def answers() -> bool:
        try:
            client.post(target.classify_url, {"input": "x"}, timeout_s=30)
        except (client.RefusedError, OSError):
            return False
        return True

    service.wait_for("the service answers again", answers, within_s=service.START_S, every_s=0.05)
    return time.monotonic() - began


@dataclass(frozen=True)
class Comparison:
    """The versions, texts and durations of one run."""

    registry: Path
    version: Path
    texts: Path
    repeated: Path
    seconds: float
    clients: tuple[int, ...]

    def servers(self) -> dict[str, Callable[[], AbstractContextManager[Service]]]:
        """Servers by name. Ours is last, next to the bare model and the batched pipeline in time."""
        return {
            PIPELINE: lambda: service.peer("pipeline", model=self.version),
            BATCHED: lambda: service.peer("batched", model=self.version),
            KEPT: lambda: service.command(self.registry, answers=ANSWERS),
            OURS: lambda: service.command(self.registry),
        }

    def closed(self, server: str, target: Service, clients: int, sent: int = 0) -> Plan:
        """A closed-loop plan; for KEPT, `sent` tweets were sent before."""
        url = target.classify_url
        plan = Plan(url=url, clients=clients, seconds=self.seconds, timeout_s=TIMEOUT_S)
        texts, skip = (self.repeated, sent) if server == KEPT else (self.texts, 0)
        return dataclasses.replace(plan, tweets=texts, skip=skip)

    def open(self, target: Service, rate: float) -> Plan:
        """Poisson arrivals, six times as long, because a p99 needs many requests."""
        plan = Plan(url=target.classify_url, rate=rate, seconds=6 * self.seconds, poisson=True)
        return dataclasses.replace(plan, tweets=self.texts, timeout_s=TIMEOUT_S)


@dataclass
class Results:
    """Measurements, one value per round in order."""

    closed: dict[tuple[str, int], list[Run]] = dataclasses.field(default_factory=dict)
    bare: list[float] = dataclasses.field(default_factory=list)
    """Tweets/s of the bare model, corrected for the CPUs that all idle servers used meanwhile."""
    idle: list[dict[str, float]] = dataclasses.field(default_factory=list)
    """CPUs that each idle server used while the bare model ran."""
    open: dict[str, Run] = dataclasses.field(default_factory=dict)
    single_s: list[float] = dataclasses.field(default_factory=list)
    """Seconds of single-tweet passes of the bare model, before and after the open-loop runs."""
    memory: dict[str, str] = dataclasses.field(default_factory=dict)
    cold_start_s: list[float] = dataclasses.field(default_factory=list)

    def best(self, server: str) -> Spread:
        """Requests per second at the number of clients with the highest throughput."""
        if server == BARE:
            return Spread(self.bare)
        rates = [
            Spread([one.report.throughput for one in runs])
            for (name, _), runs in self.closed.items()
            if name == server
        ]
        return max(rates, key=lambda rate: rate.median)

    def speedup(self, server: str) -> Spread:
        """Ratio of our throughput to the server's, per round. Against the bare model, which is corrected for
        all idle servers, ours is corrected for the others."""
        pairs = zip(self.best(OURS).rounds, self.best(server).rounds, self.idle, strict=True)
        if server != BARE:
            return Spread([ours / other for ours, other, _ in pairs])
        return Spread([ours / bare / _left(idle, without=OURS) for ours, bare, idle in pairs])


def compare(comparison: Comparison, model: Bare, rounds: int, starts: int) -> Results:
    """Measure all servers and the bare model in turn, for `rounds` rounds and `starts` cold starts."""
    found = Results()
    with contextlib.ExitStack() as stack:
        targets = {server: stack.enter_context(start()) for server, start in comparison.servers().items()}
        sent = 0
        for server, target in targets.items():
            for clients in comparison.clients:  # each size of a batch has kernels to compile
                plan = comparison.closed(server, target, clients)
                warm_up = run(dataclasses.replace(plan, seconds=min(10.0, comparison.seconds)))
                sent += warm_up.requests if server == KEPT else 0
        for number in range(rounds):
            for clients, (server, target) in itertools.product(comparison.clients, targets.items()):
                measured = measure(target, comparison.closed(server, target, clients, sent))
                sent += measured.report.requests if server == KEPT else 0
                found.closed.setdefault((server, clients), []).append(measured)
            before, began = _cpu_s(targets), time.monotonic()
            rate = model.rate(comparison.seconds)
            took, after = time.monotonic() - began, _cpu_s(targets)
            found.idle.append({server: (after[server] - before[server]) / took for server in targets})
            found.bare.append(rate / _left(found.idle[-1]))
            print(f"round {number + 1} of {rounds}", flush=True)
        rate = STEADY * found.best(OURS).median
        for server, target in targets.items():
            # A slower server's queue would only grow; kept answers make an arrival rate mean little.
            if server == OURS or (server != KEPT and rate < found.best(server).median):
                found.single_s.append(model.single_s())
                found.open[server] = measure(target, comparison.open(target, rate))
                found.single_s.append(model.single_s())
            found.memory[server] = memory(target)
        found.cold_start_s = [cold_start(targets[OURS]) for _ in range(starts)]
    return found


def _cpu_s(targets: dict[str, Service]) -> dict[str, float]:
    """CPU seconds of each server so far."""
    return {
        server: sum(one.cpu_s for one in processes.usage(target.mark).values())
        for server, target in targets.items()
    }


def _left(idle: Mapping[str, float], without: str = "") -> float:
    """Share of the CPUs that idle servers, without one of them, leave."""
    return 1 - sum(cpus for server, cpus in idle.items() if server != without) / CPUS


def row(server: str, load: str, runs: list[Run]) -> str:
    reports = [one.report for one in runs]
    ok, not_ok = sum(one.ok for one in reports), sum(one.refused + one.failed for one in reports)
    values = [
        Spread([one.throughput for one in reports]),
        Spread([1e3 * one.p50_s for one in reports]),
        Spread([1e3 * one.p99_s for one in reports]),
        Spread([1e3 * one.cpu_s / max(1, one.report.requests) for one in runs]),
        Spread([1e3 * one.cpu_s / max(1, one.requests) for one in reports]),
    ]
    return f"| {server} | {load} | {ok} | {not_ok} | {' | '.join(map(str, values))} |"


def table(found: Results) -> list[str]:
    lines = ["| server | load | ok | not ok | ok/s | p50 ms | p99 ms | CPU-ms/request | generator CPU-ms |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    lines += [
        row(server, f"{clients} clients", runs) for (server, clients), runs in sorted(found.closed.items())
    ]
    return lines + [row(server, one.report.load, [one]) for server, one in found.open.items()]


def verdicts(found: Results) -> list[str]:
    """Goals with results, cold starts and memory."""
    lines = []
    for server, goal in GOALS.items():
        speedup = found.speedup(server)
        what = f"{speedup} times the throughput of the {server}; goal: at least {goal:g}"
        lines.append(_verdict(speedup.median >= goal, what))
    gain = [1 / ratio for ratio in found.speedup(KEPT).rounds]
    lines.append(f"- a third of the tweets repeated, answers kept: {Spread(gain)} times the throughput")
    single_s = percentile(found.single_s, 0.5)
    forwards = found.open[OURS].report.p99_s / single_s
    what = (
        f"p99 at {STEADY:.0%} load is {forwards:.1f} x a single-tweet pass ({1e3 * single_s:.0f} ms); "
        f"goal: under {GOAL_FORWARD_PASSES:g}"
    )
    lines.append(_verdict(forwards < GOAL_FORWARD_PASSES, what))
    if starts := ", ".join(f"{seconds:.1f}" for seconds in found.cold_start_s):
        lines.append(f"- from SIGKILL of the replica to the next response: {starts} s")
    return lines + [f"- memory, {server}: {text}" for server, text in found.memory.items()]


def _verdict(good: bool, what: str) -> str:
    return f"- {'reached' if good else 'MISSED'}: {what}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--preset", default="openelm-270m", help="shape of the model; scratch-4m for a quick run"
    )
    parser.add_argument("--rounds", type=int, default=4, help="number of rounds")
    parser.add_argument(
        "--seconds", type=float, default=15.0, help="seconds per measurement; open loop: six times as long"
    )
    parser.add_argument(
        "--clients", type=int, nargs="+", default=CLIENTS, help="numbers of closed-loop clients"
    )
    parser.add_argument("--tweets", type=int, default=256, help="number of different tweets")
    parser.add_argument("--starts", type=int, default=3, help="number of cold starts")
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    lines = [machine(), ""]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        registry, file = folder / "models", folder / "tweets.json"
        publish(registry, arguments.preset)
        texts = tweets(arguments.tweets, tokenizer_of(arguments.preset))
        file.write_text(json.dumps(texts), encoding="utf-8")
        repeated = folder / "repeated.json"
        many = a_third_repeated(REPEATED, tokenizer_of(arguments.preset))
        repeated.write_text(json.dumps(many), encoding="utf-8")
        version = versions.resolve("hate", registry=str(registry))
        comparison = Comparison(
            registry, version, file, repeated, arguments.seconds, tuple(arguments.clients)
        )
        found = compare(comparison, Bare(version, texts), arguments.rounds, arguments.starts)
    lines += [
        f"{arguments.preset}, random weights; {arguments.tweets} tweets with the lengths of the real ones, "
        f"one per request; {arguments.seconds:g} s per measurement, median of {arguments.rounds} rounds "
        "(lowest to highest), ratios within a round. The bare model (Predictor.predict, all tweets in one "
        f"call) classifies {found.best(BARE)} tweets/s with {torch.get_num_threads()} threads, corrected for "
        f"the {Spread([sum(idle.values()) for idle in found.idle])} CPUs that the idle servers used; against "
        "it, ours is corrected for the other servers. The load generator shares the CPUs.",
        "",
        *table(found),
        "",
        *verdicts(found),
    ]
    write("Serving", lines, arguments.out)


if __name__ == "__main__":
    main()
