"""The 270M shape over HTTP: our service behind HAProxy, transformers' pipeline as tutorials put it behind
FastAPI, and the same with careful batches; against the bare model on the same tweets.

All have the same random weights, and are sent the same texts, as long as the hate task's tweets.
"""

import argparse
import contextlib
import dataclasses
import json
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
from benchmarks.timing import machine
from benchmarks.timing import publish as write
from serve import client
from tweetelm import registry as versions
from tweetelm.predictor import Predictor

OURS, PIPELINE, BATCHED = "ours", "pipeline", "batched"
CLIENTS = (1, 8, 64)
STEADY = 0.7
MEBIBYTE = 2**20
TIMEOUT_S = 120.0  # the pipeline's queue may be long, and is no failure
GOALS = {"pipeline": 8.0, "batched": 2.0, "bare model": 0.9, "forwards": 3.0}


@dataclass(frozen=True)
class Bare:
    """The model without a service: tweets a second in full batches, and the seconds of one tweet alone."""

    rate: float
    forward_s: float


def bare(folder: Path, texts: list[str], rounds: int) -> Bare:
    """`Predictor.predict`, in this process; nothing else runs meanwhile."""
    predictor = Predictor.load(folder)
    predictor.predict(texts[:8])
    began = time.perf_counter()
    for _ in range(rounds):
        predictor.predict(texts)
    rate = rounds * len(texts) / (time.perf_counter() - began)
    alone = []
    for text in texts[:32]:
        began = time.perf_counter()
        predictor.predict([text])
        alone.append(time.perf_counter() - began)
    return Bare(rate, percentile(alone, 0.5))


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


@dataclass
class Bench:
    """The versions, texts and durations of one run, and what it found."""

    registry: Path
    version: Path
    texts: Path
    seconds: float
    clients: tuple[int, ...]

    def sides(self) -> dict[str, Callable[[], AbstractContextManager[Service]]]:
        return {
            OURS: lambda: service.command(self.registry),
            PIPELINE: lambda: service.peer("pipeline", model=self.version),
            BATCHED: lambda: service.peer("batched", model=self.version),
        }

    def closed(self, target: Service) -> dict[int, Run]:
        """By clients, after a warm-up."""
        plan = Plan(
            url=target.classify_url, clients=1, seconds=self.seconds, tweets=self.texts, timeout_s=TIMEOUT_S
        )
        run(dataclasses.replace(plan, clients=8, seconds=min(5.0, self.seconds)))
        return {n: measure(target, dataclasses.replace(plan, clients=n)) for n in self.clients}

    def open(self, target: Service, capacity: float) -> Run:
        """Independent arrivals at 70 % of our capacity; longer, for a p99 needs many requests."""
        plan = Plan(url=target.classify_url, rate=STEADY * capacity, seconds=2 * self.seconds, poisson=True)
        return measure(target, dataclasses.replace(plan, tweets=self.texts, timeout_s=TIMEOUT_S))


@dataclass
class Found:
    closed: dict[str, dict[int, Run]] = dataclasses.field(default_factory=dict)
    open: dict[str, Run] = dataclasses.field(default_factory=dict)
    memory: dict[str, str] = dataclasses.field(default_factory=dict)
    cold_start_s: list[float] = dataclasses.field(default_factory=list)

    def best(self, side: str) -> float:
        """Requests a second with whatever number of clients suits the side best."""
        return max(one.report.throughput for one in self.closed[side].values())


def compare(bench: Bench, starts: int) -> Found:
    """All servers, one after the other."""
    found = Found()
    for side, start in bench.sides().items():
        with start() as target:
            found.closed[side] = bench.closed(target)
            capacity = found.best(OURS)
            if side == OURS or STEADY * capacity < found.best(side):  # else its queue only grows
                found.open[side] = bench.open(target, capacity)
            found.memory[side] = memory(target)
            if side == OURS:
                found.cold_start_s = [cold_start(target) for _ in range(starts)]
        print(f"{side}: {found.best(side):.2f} requests/s", flush=True)
    return found


def row(side: str, load: str, one: Run) -> str:
    report, figures = one.report, "{:.2f} | {:.0f} | {:.0f} | {:.1f} | {:.2f}"
    cpu = 1e3 * one.cpu_s / max(1, report.requests), 1e3 * report.cpu_s / max(1, report.requests)
    values = figures.format(report.throughput, 1e3 * report.p50_s, 1e3 * report.p99_s, *cpu)
    return f"| {side} | {load} | {report.ok} | {report.refused + report.failed} | {values} |"


def table(found: Found) -> list[str]:
    lines = ["| server | load | ok | others | ok/s | p50 ms | p99 ms | CPU-ms/request | of the generator |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for side, runs in found.closed.items():
        lines += [row(side, f"{clients} clients", one) for clients, one in runs.items()]
        if side in found.open:
            lines.append(row(side, found.open[side].report.load, found.open[side]))
    return lines


def verdicts(found: Found, model: Bare) -> list[str]:
    """Each goal, and what came out."""
    ours, shares = found.best(OURS), []
    for name, other in (
        (PIPELINE, found.best(PIPELINE)),
        (BATCHED, found.best(BATCHED)),
        ("bare model", model.rate),
    ):
        goal = GOALS[name]
        shares.append((f"{ours / other:.2f} times the throughput of the {name}", ours / other >= goal, goal))
    forwards = found.open[OURS].report.p99_s / model.forward_s
    told = [
        f"- {'reached' if good else 'MISSED'}: {what}; goal: at least {goal:g}" for what, good, goal in shares
    ]
    reached = "reached" if forwards < GOALS["forwards"] else "MISSED"
    told.append(
        f"- {reached}: p99 at {STEADY:.0%} load is {forwards:.1f} forward passes of one tweet "
        f"({1e3 * model.forward_s:.0f} ms); goal: under {GOALS['forwards']:g}"
    )
    if starts := ", ".join(f"{seconds:.1f}" for seconds in found.cold_start_s):
        told.append(f"- from the SIGKILL of the replica to the next answer: {starts} s")
    return told + [f"- memory, {side}: {text}" for side, text in found.memory.items()]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="openelm-270m", help="scratch-4m for a quick look")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of each closed loop; open ones: twice that"
    )
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--tweets", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3, help="of all tweets through the bare model")
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
        model = bare(version, texts, arguments.rounds)
        bench = Bench(registry, version, file, arguments.seconds, tuple(arguments.clients))
        found = compare(bench, arguments.starts)
    lines += [
        f"{arguments.preset}, random weights; {arguments.tweets} tweets with the lengths of the real ones, "
        "one to a request. The bare model (Predictor.predict, all tweets at once) does "
        f"{model.rate:.2f} tweets/s with {torch.get_num_threads()} threads. The load generator shares "
        "the processors.",
        "",
        *table(found),
        "",
        *verdicts(found, model),
    ]
    write("Serving", lines, arguments.out)


if __name__ == "__main__":
    main()
