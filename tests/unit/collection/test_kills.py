"""The command, killed at random and typed again: no tweet is lost or read into the rows twice.

The server counts what it sent and when, so the cap and the pace are checked from its side.
"""

import os
import random
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.collecting import ENVIRONMENT, ids, manifest
from tests.support.places import ROOT
from tests.support.x_api import XServer, timeline, x_server

pytestmark = pytest.mark.slow

PER_WINDOW = 4500  # one request each 0.2 s
SPACING_S = 900 / PER_WINDOW
KILLS = 4


def start(server: XServer, out: Path, cap: int) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "ray_jobs.collect", "--accounts", "ada", "bob", "eve", "--out", str(out)]
    line += ["--api-url", server.url, "--cap", str(cap), "--requests-per-15min", str(PER_WINDOW)]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    environment = kept | ENVIRONMENT | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    return subprocess.Popen(
        line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def kill_after_requests(
    process: "subprocess.Popen[str]", server: XServer, requests: int, delay: float
) -> bool:
    """Kill the command `delay` seconds after the server's next `requests`; False if it ended before."""
    target = len(server.times) + requests
    while len(server.times) < target:
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    time.sleep(delay)
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    return True


def finish(process: "subprocess.Popen[str]") -> str:
    said, _ = process.communicate(timeout=120)
    return said


@pytest.mark.parametrize(("seed", "cap"), [(1, 10_000), (2, 520)])
def test_killed_collection_is_complete_and_within_bounds(tmp_path: Path, seed: int, cap: int) -> None:
    chance = random.Random(seed)
    names = {"ada": timeline(450), "bob": timeline(130, 1001), "eve": timeline(40, 2001)}
    with x_server(timelines=names, limit=9, window_s=2.0) as server:
        server.faults = {n: chance.choice([503, "malformed", "cut"]) for n in range(2, 200, 7)}
        killed = 0
        for _ in range(KILLS):
            process = start(server, tmp_path, cap)
            killed += kill_after_requests(process, server, chance.randint(1, 2), chance.uniform(0, SPACING_S))
            finish(process)
        process = start(server, tmp_path, cap)
        said = finish(process)
    assert process.returncode == 0, said
    assert killed == KILLS or (killed >= 2 and cap < 10_000), said
    found = ids(tmp_path)
    assert len(set(found)) == len(found)
    assert server.posts_served <= cap
    assert manifest(tmp_path)["cost"]["posts"] >= server.posts_served
    assert min(after - before for before, after in pairwise(server.times)) >= SPACING_S - 0.001
    assert 429 not in server.statuses
    if cap == 10_000:
        assert found == [*range(1, 451), *range(1001, 1131), *range(2001, 2041)]
        sent_again = server.posts_served - len(found)  # answers that were lost
        assert sent_again <= manifest(tmp_path)["cost"]["lost_posts"]
