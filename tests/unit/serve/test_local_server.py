import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tyro

from serve import local_server
from serve.__main__ import Options
from serve.local_server import HOST, environment, free_port
from serve.settings import Settings
from tests.support.places import ROOT


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_asked_for_that_is_taken_is_an_error_that_names_it(taken: int) -> None:
    with pytest.raises(ValueError, match=f"port {taken} .* is taken"):
        free_port(taken)


@pytest.mark.parametrize("port", [0, -1, 65536, 99999])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match=rf"--port {port} is no port; expected 1 to 65535"):
        free_port(port)


def test_a_port_that_only_root_may_bind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden(socket.socket):
        def bind(self, address: Any) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Forbidden)
    with pytest.raises(ValueError, match=r"port 80 .* from 1024 on"):
        free_port(80)


@pytest.mark.parametrize("host", ["nope.invalid", "192.0.2.77", "2001:db8::1"])
def test_a_host_that_is_not_this_machine_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=rf"--host {host} is no address of this machine"):
        free_port(None, host=host)


def test_serving_prints_no_warning_about_looking_back() -> None:
    from ray.serve.config import AutoscalingConfig

    with pytest.warns(FutureWarning, match="look_back_period_s"):
        AutoscalingConfig(look_back_period_s=3.0)
    with local_server.false_warning_off():
        AutoscalingConfig(look_back_period_s=3.0)


def test_a_server_stays_unless_it_is_told_not_to() -> None:
    assert tyro.cli(Options, args=[]).stay
    assert tyro.cli(Options, args=["--stay"]).stay
    assert not tyro.cli(Options, args=["--no-stay"]).stay


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_serving_in_an_orderly_way(number: signal.Signals) -> None:
    script = "import os, sys, threading; from serve import __main__ as m\n"
    script += "threading.Timer(0.5, os.kill, (os.getpid(), int(sys.argv[1]))).start()\n"
    script += "m.serve_until_stopped = lambda *_: m.stay()\n"
    script += "sys.argv[1:] = []\nm.command.run(m.main)"
    root = ROOT
    done = subprocess.run(
        [sys.executable, "-c", script, str(int(number))],
        env=os.environ | {"PYTHONPATH": f"{root}:{root / 'src'}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Serving until Ctrl-C.\nStopped.\n", "")


def test_without_a_port_the_next_free_one_is_taken(taken: int) -> None:
    assert free_port(None, first=taken) > taken


def test_ray_gets_a_token_that_only_the_user_can_read(tmp_path: Path) -> None:
    extra = environment({}, tmp_path)
    assert extra["RAY_AUTH_MODE"] == "token"
    token = Path(extra["RAY_AUTH_TOKEN_PATH"])
    assert len(token.read_text()) == 64
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


@pytest.mark.parametrize("given", [{"RAY_AUTH_TOKEN": "t"}, {"RAY_AUTH_TOKEN_PATH": "p"}])
def test_a_token_that_is_set_is_kept(given: dict[str, str], tmp_path: Path) -> None:
    assert environment(given, tmp_path).keys() == {
        "RAY_AUTH_MODE",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH",
        "RAY_USAGE_STATS_ENABLED",
        "RAY_worker_niceness",
    }
    assert not list(tmp_path.iterdir())


def test_an_environment_that_turns_the_token_off_is_obeyed(tmp_path: Path) -> None:
    given = {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "1",
        "RAY_worker_niceness": "5",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "mine:middlewares",
    }
    assert environment(given, tmp_path) == {}


@pytest.mark.parametrize(("machine", "gpus"), [({"CPU": 4.0}, 0), ({"CPU": 4.0, "GPU": 2.0}, 1)])
def test_the_one_replica_of_a_machine_gets_its_cpus_and_a_gpu_if_there_is_one(
    machine: dict[str, float], gpus: int
) -> None:
    found = Settings().model_copy(update=local_server._all_of(machine))
    assert (found.threads, found.gpus, found.max_replicas) == (4, gpus, 1)
