"""The short form of `make lab`: a cluster of three hosts on this machine."""

import subprocess
import sys

import pytest

from tests.lab.hosts import missing
from tests.support.places import ROOT

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_three_host_lab_trains_and_serves() -> None:
    if reason := missing():
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab", "--short"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    assert "0 processes left, 0 secrets leaked" in done.stdout
