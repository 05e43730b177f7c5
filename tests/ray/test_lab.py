"""A cluster of three hosts on this machine, as `make lab` has it, in its short form."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.hosts import missing

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


def test_three_hosts_train_serve_keep_strangers_out_and_end() -> None:
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
    assert "0 processes left, 0 secrets seen" in done.stdout
