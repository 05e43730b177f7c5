"""What happens when the machine allows little: few open files, and services that do not come up in time."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import psutil
import pytest

from tests.support.places import ROOT
from tweetelm.cli import ray_startup
from tweetelm.cli.ray_startup import DidNotStartError, ensure_open_files, longer_wait, start_service

STARTED: list["subprocess.Popen[bytes]"] = []
SLEEPS = "import subprocess, sys; subprocess.Popen(['sleep', '60']); print(1, flush=True); input()"


def failing(times: int) -> Callable[[], int]:
    """Starts a process that starts another, and fails, so many times; then gives the number of the call."""
    calls = []

    def start() -> int:
        calls.append(1)
        if len(calls) > times:
            return len(calls)
        process = begin([sys.executable, "-c", SLEEPS])
        assert process.stdout
        process.stdout.readline()
        raise RuntimeError("The current node timed out during startup.")

    return start


def begin(command: list[str]) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    while STARTED:
        STARTED.pop().communicate(timeout=20)


def sleepers() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]


def test_failed_start_is_retried_without_leaks() -> None:
    before, lines = sleepers(), list[str]()
    assert start_service(failing(1), lambda: None, tries=2, say=lines.append) == 2
    assert sleepers() == before
    assert len(lines) == 1
    assert lines[0].startswith("Ray did not start")


def test_last_failed_start_is_a_one_line_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("The current node timed out\nduring startup.")

    monkeypatch.setattr(os, "getloadavg", lambda: (99.0, 99.0, 99.0))
    with pytest.raises(DidNotStartError, match=r"too busy \(load 99 .*type the same command") as busy:
        start_service(fail, lambda: None, say=lambda _: None)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    with pytest.raises(DidNotStartError, match=r"node timed out during startup.*same command") as idle:
        start_service(fail, lambda: None, say=lambda _: None)
    assert "busy" not in str(idle.value)
    assert all(len(str(error.value).splitlines()) == 1 for error in (busy, idle))


def test_slow_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_startup, "SLOW_S", 0.05)
    lines: list[str] = []
    start_service(lambda: time.sleep(0.5), lambda: None, say=lines.append)
    assert [line.split(" (")[0] for line in lines] == ["Ray is slow to start"]


def test_ctrl_c_during_start_kills_its_processes() -> None:
    before = sleepers()

    def start() -> None:
        begin(["sleep", "60"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start_service(start, lambda: None)
    assert sleepers() == before


def test_hard_coded_wait_is_extended() -> None:
    calls: list[int] = []

    def find(answer_after: int) -> int:
        calls.append(1)
        if len(calls) < answer_after:
            raise RuntimeError("not yet")
        return len(calls)

    library = SimpleNamespace(find=find)
    with longer_wait(library, "find", within_s=5):
        assert library.find(3) == 3
    assert library.find is find
    with longer_wait(library, "find", within_s=0.2), pytest.raises(RuntimeError, match="not yet"):
        library.find(1000)


def test_wrapped_wait_function_exists_in_ray() -> None:
    import inspect

    from ray._private import node, services

    assert callable(services.get_node)
    assert "ray._private.services.get_node(" in inspect.getsource(node.Node.__init__)


def test_open_file_limit_is_raised_first() -> None:
    script = "import resource as r; from tweetelm.cli.ray_startup import ensure_open_files as f; "
    script += "r.setrlimit(r.RLIMIT_NOFILE, (64, {0})); f(); print(r.getrlimit(r.RLIMIT_NOFILE)[0])"
    env = {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", script.format(2048)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert int(done.stdout) == 2048


def test_open_file_limit_error_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    with pytest.raises(OSError, match=r"64 files .* `ulimit -n 4096`"):
        ensure_open_files()
