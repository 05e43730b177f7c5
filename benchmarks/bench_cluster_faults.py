"""A cluster of three hosts on this machine, and what becomes of its work when hosts fail.

A worker host is switched off while it trains, while a search runs and while it serves; its network is cut for
5, 30 and 120 seconds; the head is switched off for two minutes; a host is taken back with a notice; the disk
fills up; the autoscaler dies. Weights must be those of a run that was left alone, bit for bit, and a search
must have the same trials.
"""

import argparse
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.cluster_callers import Callers
from benchmarks.cluster_notices import WARNING_S
from benchmarks.cluster_work import BEFORE, BESIDE, PATIENCE_S, SEARCH, TRAIN, Bench, Fault
from benchmarks.timing import machine, publish
from tests.lab import hosts as lab
from tests.lab.hosts import Host
from tests.support.ray_head import wait_for

HEADLESS_S = 120.0
ALONE_S = 30.0
CUTS = (5, 30, 120)
OFF = "its host switched off"


def power_off(host: Host) -> float:
    """For good; returns when it happened."""
    moment = time.monotonic()
    host.power_off()
    return moment


def cut(seconds: float) -> Fault:
    """The network is gone for so long."""

    def fault(host: Host) -> float:
        moment = time.monotonic()
        host.cut()
        time.sleep(seconds)
        host.mend()
        return moment

    return fault


def training(bench: Bench) -> None:
    """Runs whose worker's host fails."""
    with bench.desk.tunnel():
        bench.training("off", power_off, OFF)
        for seconds in CUTS:
            bench.training(f"cut{seconds}", cut(seconds), f"its network cut for {seconds} s")


def search(bench: Bench) -> None:
    """Searches one of whose hosts fails."""
    with bench.desk.tunnel():
        bench.ended(bench.job("ray_jobs.tune", "quiet", SEARCH))
        expected = bench.samples("quiet")
        bench.search("searched", power_off, OFF, expected)
        for seconds in CUTS:
            bench.search(f"searched{seconds}", cut(seconds), f"its network cut for {seconds} s", expected)


def serving(bench: Bench) -> None:
    """Replicas whose host fails."""
    with bench.desk.tunnel():
        bench.deployed()
        bench.serving(power_off, OFF)
        for seconds in CUTS:
            bench.serving(cut(seconds), f"its network cut for {seconds} s")


def notice(bench: Bench) -> None:
    """A host that is taken back while it trains, searches and serves."""
    what = f"its host taken back with a notice of {WARNING_S} s"
    with bench.desk.tunnel():
        bench.ended(bench.job("ray_jobs.tune", "calm", SEARCH))
        bench.notices.watch()
        bench.training("noticed", bench.notices.give, what)
        bench.notices.watch()
        bench.search("searched-noticed", bench.notices.give, what, bench.samples("calm"))
        bench.deployed()
        bench.notices.watch()
        bench.serving(bench.notices.give, what)
        bench.undeployed()


def disk(bench: Bench) -> None:
    """The storage is full when a checkpoint is due; docs/cluster/recovery.md says what to do."""
    with bench.desk.tunnel():
        job = bench.job("ray_jobs.train", "full", TRAIN)
        wait_for("full has trained", lambda: bench.steps("full") >= BEFORE, PATIENCE_S)
        rest = bench.shared / "rest"
        with rest.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(bench.shared).free - 2**22)
            while True:
                file.write(bytes(2**12))
        status = bench.ended(job)
        rest.unlink()  # what is typed here is written down on the same disk
        told = bench.said(job, r"[^\n]*No space left[^\n]*")
        bench.note(f"training, the disk full: {status}; the log ends with: {''.join(told[-1:]).strip()}")
        status = bench.ended(bench.job("ray_jobs.train", "full", TRAIN))
        bench.note(f"room made, submitted again: {status}, {bench.compared('full')} at the end")


def autoscaler(bench: Bench) -> None:
    """It is dead when a host comes back; docs/cluster/recovery.md says what to do."""
    head, host = bench.hosts[0], bench.hosts[-1]
    with bench.desk.tunnel():
        done = head.run("kill -9 $(pgrep -f autoscaler/_private/[m]onitor.py)")
        if done.returncode:
            raise RuntimeError(done.stderr)
        host.power_off()
        wait_for("it is missed", lambda: len(bench.desk.nodes()) == len(bench.hosts) - 1, PATIENCE_S)
        host.power_on()
        time.sleep(ALONE_S)
        there = len(bench.desk.nodes())
        bench.note(f"no autoscaler: {there} of {len(bench.hosts)} hosts {ALONE_S:.0f} s after one came back")
        job = bench.job("ray_jobs.train", "on-two", TRAIN)
        wait_for("the run has trained", lambda: bench.steps("on-two") >= BEFORE, PATIENCE_S)
        begun = time.monotonic()
    bench.desk.up()
    with bench.desk.tunnel():
        bench.whole()
        bench.note(f"`ray up`: all of them {time.monotonic() - begun:.0f} s later")
        known = [one["status"] for one in bench.desk.get("/api/jobs/") if one["submission_id"] == job]
        bench.note(f"the job that ran meanwhile: {known or 'unknown to the new head'}")
        status = bench.ended(bench.job("ray_jobs.train", "on-two", TRAIN))
        bench.note(f"submitted again: {status}, {bench.compared('on-two')} at the end")


def head(bench: Bench) -> None:
    """Callers ask the workers; the head, on which a job runs, is off, and on again with its disk."""
    with bench.desk.tunnel():
        bench.ended(bench.job("ray_jobs.train", "beside", BESIDE))
        bench.deployed()
        bench.job("ray_jobs.train", "headless", BESIDE)
        wait_for("the run has trained", lambda: bench.steps("headless") >= BEFORE, PATIENCE_S)
    callers = Callers(bench.desk, [host for host in bench.hosts[1:] if bench.desk.answers(host)])
    callers.start()
    moment = power_off(bench.hosts[0])
    time.sleep(HEADLESS_S)
    alone = [bench.desk.answers(host) for host in callers.hosts]
    bench.note(f"the head off: {sum(alone)} of {len(alone)} endpoints answer {HEADLESS_S:.0f} s later")
    again = time.monotonic()
    bench.hosts[0].power_on()
    bench.desk.up()
    with bench.desk.tunnel():
        joined = bench.whole()
        bench.deployed()
        ready = time.monotonic() - again
        callers.stop()
        status = bench.ended(bench.job("ray_jobs.train", "headless", BESIDE))
    same = bench.compared("headless", "beside")
    bench.note(f"the head on, `ray up`, `serve deploy`: {joined:.0f} s to join, {ready:.0f} until served")
    bench.note(f"callers of the other hosts in all that time: {callers.outage(moment)}")
    bench.note(f"the job submitted again: {status}, {same} at the end")


PARTS: dict[str, Callable[[Bench], None]] = {
    "training": training,
    "search": search,
    "serving": serving,
    "head": head,
    "notice": notice,
    "disk": disk,
    "autoscaler": autoscaler,
}


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if reason := lab.missing():
        print(f"error: {reason}", file=sys.stderr)
        return 2
    if not lab.inside():
        return lab.enter("benchmarks.bench_cluster_faults", sys.argv[1:])
    with lab.hosts(3) as made:
        bench = Bench(made)
        lines = [machine(), ""]
        bench.desk.up()
        with bench.desk.tunnel():
            bench.whole()
            bench.ended(bench.job("ray_jobs.train", "alone", TRAIN))
        try:
            for part in arguments.parts:
                PARTS[part](bench)
            bench.desk.down()
        finally:
            publish("Hosts that fail", [*lines, *bench.seen], arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
