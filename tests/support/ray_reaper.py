"""Ends a test cluster when its owner has ended: `python -m tests.support.ray_reaper MARK FOLDER`.

It waits for the end of its standard input, which comes when the owner closes the pipe or dies. Then it ends
every process that was started with the mark in its environment, and no other, and removes the folder.
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
    """Every process that was started with this mark in its environment, this one excepted."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER) == mark:
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return found


def end(mark: str) -> None:
    """End the cluster's processes, and those that they start while dying."""
    for how, seconds in [("terminate", 5)] + [("kill", 5)] * 10:
        left = members(mark)
        for process in left:
            send(process, how)
        psutil.wait_procs(left, timeout=seconds)
        if not members(mark):
            return
    raise RuntimeError(f"processes of the test cluster survive: {members(mark)}")


def send(process: psutil.Process, how: str) -> None:
    try:
        getattr(process, how)()
    except psutil.NoSuchProcess:
        return


@contextmanager
def reaped(mark: str, folder: Path) -> Iterator[None]:
    """While inside, processes may be started with `mark`; none of them is left afterwards, nor `folder`."""
    root = ROOT
    line = [sys.executable, "-m", "tests.support.ray_reaper", mark, str(folder)]
    reaper = subprocess.Popen(line, cwd=root, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        reaper.communicate()  # closes its standard input and waits
        if reaper.returncode:
            raise RuntimeError(
                f"the reaper of cluster {mark} ended with {reaper.returncode}; see its error above"
            )


def main() -> None:
    mark, folder = sys.argv[1:]
    sys.stdin.read()
    end(mark)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
