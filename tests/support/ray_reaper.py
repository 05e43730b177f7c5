"""Terminates a test cluster after its owner: `python -m tests.support.ray_reaper MARK FOLDER`.

It waits for the end of its standard input, when the owner closes the pipe or dies. Then it terminates every
process with the marker in its environment, and no other, and removes the folder.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.places import ROOT

MARKER = "TWEETELM_TEST_CLUSTER"


def members(mark: str) -> list[psutil.Process]:
    """Every process with this marker in its environment, except this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER) == mark:
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return found


def end(mark: str) -> None:
    """Terminate the cluster's processes, including those that they start while stopping.

    Raises:
        RuntimeError: a process survives.
    """
    for how, seconds in [("terminate", 5)] + [("kill", 5)] * 10:
        left = members(mark)
        for process in left:
            send(process, how)
        psutil.wait_procs(left, timeout=seconds)
        if not members(mark):
            return
    raise RuntimeError(f"these processes of the test cluster still run: {members(mark)}")


def send(process: psutil.Process, how: str) -> None:
    try:
        getattr(process, how)()
    except psutil.NoSuchProcess:
        return


@contextmanager
def reaped(mark: str, folder: Path) -> Iterator[None]:
    """Terminate all processes with the marker `mark` on exit, and remove `folder`.

    Raises:
        RuntimeError: the reaper failed.
    """
    root = ROOT
    line = [sys.executable, "-m", "tests.support.ray_reaper", mark, str(folder)]
    reaper = subprocess.Popen(line, cwd=root, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        reaper.communicate()  # closes its standard input and waits
        if reaper.returncode:
            raise RuntimeError(
                f"the reaper of cluster {mark} exited with status {reaper.returncode}; see its error above"
            )


def main() -> None:
    mark, folder = sys.argv[1:]
    sys.stdin.read()
    end(mark)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
