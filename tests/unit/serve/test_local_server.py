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


def test_taken_port_error_names_the_port(taken: int) -> None:
    with pytest.raises(ValueError, match=f"port {taken} .* is taken"):
        free_port(taken)


@pytest.mark.parametrize("port", [0, -1, 65536, 99999])
def test_invalid_port_is_rejected(port: int) -> None:
    with pytest.raises(ValueError, match=rf"--port {port} is not a port; expected 1 to 65535"):
        free_port(port)


def test_privileged_port_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden(socket.socket):
        def bind(self, address: Any) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Forbidden)
    with pytest.raises(ValueError, match=r"port 80; choose one above 1023"):
        free_port(80)


@pytest.mark.parametrize("host", ["nope.invalid", "192.0.2.77", "2001:db8::1"])
def test_foreign_host_is_rejected(host: str) -> None:
    with pytest.raises(ValueError, match=rf"--host {host} is not an address of this machine"):
        free_port(None, host=host)


def test_no_look_back_warning_is_printed() -> None:
    from ray.serve.config import AutoscalingConfig

    with pytest.warns(FutureWarning, match="look_back_period_s"):
        AutoscalingConfig(look_back_period_s=3.0)
    with local_server.false_warning_off():
        AutoscalingConfig(look_back_period_s=3.0)


def test_server_stays_by_default() -> None:
    assert tyro.cli(Options, args=[]).stay
    assert tyro.cli(Options, args=["--stay"]).stay
    assert not tyro.cli(Options, args=["--no-stay"]).stay


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_the_server_cleanly(number: signal.Signals) -> None:
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


def test_default_port_is_the_next_free_one(taken: int) -> None:
    assert free_port(None, first=taken) > taken


def test_ray_token_file_is_private(tmp_path: Path) -> None:
    extra = environment({}, tmp_path)
    assert extra["RAY_AUTH_MODE"] == "token"
    token = Path(extra["RAY_AUTH_TOKEN_PATH"])
    assert len(token.read_text()) == 64
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


@pytest.mark.parametrize("given", [{"RAY_AUTH_TOKEN": "t"}, {"RAY_AUTH_TOKEN_PATH": "p"}])
def test_given_token_is_kept(given: dict[str, str], tmp_path: Path) -> None:
    assert environment(given, tmp_path).keys() == {
        "RAY_AUTH_MODE",
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH",
        "RAY_USAGE_STATS_ENABLED",
        "RAY_worker_niceness",
    }
    assert not list(tmp_path.iterdir())


def test_token_can_be_disabled(tmp_path: Path) -> None:
    given = {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "1",
        "RAY_worker_niceness": "5",
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "1",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "mine:middlewares",
    }
    assert environment(given, tmp_path) == {}


def test_given_settings_are_kept_with_haproxy(tmp_path: Path) -> None:
    given = {"RAY_AUTH_MODE": "disabled", "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "1"}
    found = environment(given, tmp_path, haproxy=True)
    assert found["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    assert "RAY_SERVE_CONTROL_LOOP_INTERVAL_S" not in found


@pytest.mark.parametrize(("machine", "gpus"), [({"CPU": 4.0}, 0), ({"CPU": 4.0, "GPU": 2.0}, 1)])
def test_single_replica_uses_all_cpus_and_a_gpu(machine: dict[str, float], gpus: int) -> None:
    found = Settings().model_copy(update=local_server._all_of(machine))
    assert (found.threads, found.gpus, found.max_replicas) == (4, gpus, 1)
