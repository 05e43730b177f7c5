"""Fault injection on a cluster of three hosts on this machine.

Faults: a worker host loses power, or its network for 5, 30 and 120 s, during training, search and serving; a
worker host loses power while an archive is classified; the head is off for two minutes; a host gets a spot
notice; the disk is full; the autoscaler dies. Interrupted runs must finish bit-identical to uninterrupted
ones, interrupted searches with the same trials, and the archive complete and equal to `Predictor`.
"""

import argparse
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.cluster_callers import Clients
from benchmarks.cluster_notices import WARNING_S
from benchmarks.cluster_work import MIN_STEPS, SEARCH, TIMEOUT_S, TRAIN, TRAIN_HALF, Bench, Fault
from benchmarks.timing import machine, publish
from tests.lab import hosts as lab
from tests.lab.hosts import Host
from tests.support.ray_head import wait_for

HEAD_DOWN_S = 120.0
NO_AUTOSCALER_S = 30.0
CUT_SECONDS = (5, 30, 120)
POWERED_OFF = "its host powered off"


def power_off(host: Host) -> float:
    """Power the host off for good; returns the time of the fault."""
    moment = time.monotonic()
    host.power_off()
    return moment


def cut(seconds: float) -> Fault:
    """A fault that cuts the network of a host for `seconds`."""

    def fault(host: Host) -> float:
        moment = time.monotonic()
        host.cut()
        time.sleep(seconds)
        host.reconnect()
        return moment

    return fault


def training(bench: Bench) -> None:
    """Faults of a worker host during training."""
    with bench.desk.tunnel():
        bench.training("off", power_off, POWERED_OFF)
        for seconds in CUT_SECONDS:
            bench.training(f"cut{seconds}", cut(seconds), f"its network cut for {seconds} s")


def search(bench: Bench) -> None:
    """Faults of a worker host during a search."""
    with bench.desk.tunnel():
        bench.final_status(bench.job("ray_jobs.tune", "uninterrupted-search", SEARCH))
        expected = bench.samples("uninterrupted-search")
        bench.search("searched", power_off, POWERED_OFF, expected)
        for seconds in CUT_SECONDS:
            bench.search(f"searched{seconds}", cut(seconds), f"its network cut for {seconds} s", expected)


def serving(bench: Bench) -> None:
    """Faults of a host that runs a replica."""
    with bench.desk.tunnel():
        bench.deploy()
        bench.serving(power_off, POWERED_OFF)
        for seconds in CUT_SECONDS:
            bench.serving(cut(seconds), f"its network cut for {seconds} s")


def archive(bench: Bench) -> None:
    """A worker host loses power while an archive is classified."""
    with bench.desk.tunnel():
        bench.archive(power_off, POWERED_OFF)


def notice(bench: Bench) -> None:
    """Spot notices during training, search and serving."""
    what = f"its host preempted with a notice of {WARNING_S} s"
    with bench.desk.tunnel():
        bench.final_status(bench.job("ray_jobs.tune", "uninterrupted-notice", SEARCH))
        bench.notices.start()
        bench.training("noticed", bench.notices.send, what)
        bench.notices.start()
        bench.search("searched-noticed", bench.notices.send, what, bench.samples("uninterrupted-notice"))
        bench.deploy()
        bench.notices.start()
        bench.serving(bench.notices.send, what)
        bench.undeploy()


def disk(bench: Bench) -> None:
    """The storage is full when a checkpoint is written; recovery as in docs/cluster/recovery.md."""
    with bench.desk.tunnel():
        job = bench.job("ray_jobs.train", "full", TRAIN)
        wait_for("full has trained", lambda: bench.steps("full") >= MIN_STEPS, TIMEOUT_S)
        filler = bench.shared / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(bench.shared).free - 2**22)
            while True:
                file.write(bytes(2**12))
        status = bench.final_status(job)
        filler.unlink()  # the log of the next command is on the same disk
        errors = bench.log_matches(job, r"[^\n]*No space left[^\n]*")
        bench.note(f"training, disk full: {status}; the log ends with: {''.join(errors[-1:]).strip()}")
        status = bench.final_status(bench.job("ray_jobs.train", "full", TRAIN))
        bench.note(f"space freed, submitted again: {status}, {bench.compare_weights('full')} at the end")


def autoscaler(bench: Bench) -> None:
    """The autoscaler is dead when a host returns; recovery as in docs/cluster/recovery.md."""
    head, host = bench.hosts[0], bench.hosts[-1]
    with bench.desk.tunnel():
        done = head.run("kill -9 $(pgrep -f autoscaler/_private/[m]onitor.py)")
        if done.returncode:
            raise RuntimeError(done.stderr)
        host.power_off()
        wait_for(
            "the host is reported dead", lambda: len(bench.desk.nodes()) == len(bench.hosts) - 1, TIMEOUT_S
        )
        host.power_on()
        time.sleep(NO_AUTOSCALER_S)
        alive = len(bench.desk.nodes())
        bench.note(
            f"no autoscaler: {alive} of {len(bench.hosts)} hosts alive {NO_AUTOSCALER_S:.0f} s after a return"
        )
        job = bench.job("ray_jobs.train", "on-two", TRAIN)
        wait_for("the run has trained", lambda: bench.steps("on-two") >= MIN_STEPS, TIMEOUT_S)
        begun = time.monotonic()
    bench.desk.up()
    with bench.desk.tunnel():
        bench.restore_hosts()
        bench.note(f"`ray up`: all hosts alive {time.monotonic() - begun:.0f} s later")
        known = [one["status"] for one in bench.desk.get("/api/jobs/") if one["submission_id"] == job]
        bench.note(f"the job that ran during the fault: {known or 'unknown to the new head'}")
        status = bench.final_status(bench.job("ray_jobs.train", "on-two", TRAIN))
        bench.note(f"submitted again: {status}, {bench.compare_weights('on-two')} at the end")


def head(bench: Bench) -> None:
    """The head is off, then on with its disk, while a job runs and clients use the workers."""
    with bench.desk.tunnel():
        bench.final_status(bench.job("ray_jobs.train", "uninterrupted-half", TRAIN_HALF))
        bench.deploy()
        bench.job("ray_jobs.train", "headless", TRAIN_HALF)
        wait_for("the run has trained", lambda: bench.steps("headless") >= MIN_STEPS, TIMEOUT_S)
    clients = Clients(bench.desk, [host for host in bench.hosts[1:] if bench.desk.answers(host)])
    clients.start()
    moment = power_off(bench.hosts[0])
    time.sleep(HEAD_DOWN_S)
    answering = [bench.desk.answers(host) for host in clients.hosts]
    bench.note(f"head off: {sum(answering)} of {len(answering)} endpoints answer {HEAD_DOWN_S:.0f} s later")
    powered_on = time.monotonic()
    bench.hosts[0].power_on()
    bench.desk.up()
    with bench.desk.tunnel():
        joined = bench.restore_hosts()
        bench.deploy()
        ready = time.monotonic() - powered_on
        clients.stop()
        status = bench.final_status(bench.job("ray_jobs.train", "headless", TRAIN_HALF))
    same = bench.compare_weights("headless", "uninterrupted-half")
    bench.note(
        f"head on, `ray up`, `serve deploy`: hosts alive after {joined:.0f} s, serving after {ready:.0f} s"
    )
    bench.note(f"clients of the other hosts in that time: {clients.outage(moment)}")
    bench.note(f"the job submitted again: {status}, {same} at the end")


PARTS: dict[str, Callable[[Bench], None]] = {
    "training": training,
    "search": search,
    "serving": serving,
    "archive": archive,
    "head": head,
    "notice": notice,
    "disk": disk,
    "autoscaler": autoscaler,
}


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS)
    )
    parser.add_argument("--out", type=Path, help="file of the report")
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
            bench.restore_hosts()
            bench.final_status(bench.job("ray_jobs.train", "uninterrupted", TRAIN))
        try:
            for part in arguments.parts:
                PARTS[part](bench)
            bench.desk.down()
        finally:
            publish("Cluster faults", [*lines, *bench.notes], arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
