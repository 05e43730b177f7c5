"""Starts a job's command as a user does, beside a Ray head, and kills it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.places import ROOT
from tests.support.ray_head import Cluster


def environment(cluster: Cluster) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    return {**cluster.env, "RAY_ADDRESS": cluster.address, "PYTHONPATH": path}


@contextmanager
def started(cluster: Cluster, module: str, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """The running command; killed at the end of the block. Its output is in `stdout`."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *flags],
        cwd=ROOT,
        env=environment(cluster),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(cluster: Cluster, module: str, *flags: str) -> tuple[int, str]:
    """The exit status and the output."""
    with started(cluster, module, *flags) as process:
        said = process.communicate(timeout=300)[0]
    return process.returncode, said
