"""Limits on the size and arrival time of the request line and headers, and HAProxy's configuration."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from serve.api import create_api
from serve.local_server import HAPROXY
from serve.middleware import header_limits
from tests.support.fake_predictor import two_models
from tests.support.http_server import serving


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setitem(header_limits.uvicorn.config.HTTP_PROTOCOLS, "auto", "")  # restored afterwards
    header_limits.install()
    monkeypatch.setattr(header_limits, "HEAD_S", 0.3)
    with serving(create_api(two_models())) as url:
        yield url


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port or 80), timeout=20)


def rest(connection: socket.socket) -> bytes:
    try:
        return b"".join(iter(lambda: connection.recv(65536), b""))
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("start", [b"X-Long: ", b"GET /", b"X: 1\r\n" * 2000])
def test_endless_headers_are_rejected(url: str, start: bytes) -> None:
    sent = 0
    with connect(url) as connection:
        connection.sendall(start if start.startswith(b"GET") else b"GET /health HTTP/1.1\r\n" + start)
        with contextlib.suppress(OSError):
            while sent < 120_000_000:
                sent += connection.send(b"a" * 65_536)
        assert sent < 20_000_000, "the server keeps accepting headers"


@pytest.mark.parametrize("start", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_slow_headers_time_out(url: str, start: bytes) -> None:
    began = time.monotonic()
    with connect(url) as connection:
        connection.sendall(start)
        assert rest(connection).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began < 15


def test_trickled_headers_time_out(url: str) -> None:
    with connect(url) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
        with pytest.raises(OSError, match=r"."):  # noqa: PT012 — a trickle is a loop
            for _ in range(2000):
                connection.sendall(b"a")
                time.sleep(0.01)


def test_normal_requests_keep_their_connection(url: str) -> None:
    with connect(url) as connection:
        for _ in range(2):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b'{"status":"ok"}'):  # head and body may come apart
                part = connection.recv(65536)
                assert part, answer
                answer += part
            assert answer.startswith(b"HTTP/1.1 200")
            time.sleep(0.4)  # longer than the header timeout: an idle connection has none


RAYS = """global
    stats socket /x/admin.sock mode 666 level admin expose-fd listeners
    stats timeout 30s
defaults
    mode http
    timeout client 60s
frontend prometheus
    bind :9101
    mode http
frontend http_frontend
    bind *:8000
backend http-tweetelm
    server SERVE_REPLICA_a 127.0.0.1:30785 check observe layer4 error-limit 3 on-error mark-down
    server SERVE_PROXY_ACTOR-fallback 127.0.0.1:31188 check backup
listen stats
  bind *:8404
  stats enable
"""


def test_haproxy_config_has_our_limits_and_a_private_admin(tmp_path: Path) -> None:
    config, binary = tmp_path / "haproxy.cfg", tmp_path / "real"
    config.write_text(RAYS)
    binary.write_text('#!/bin/sh\necho "$@"\n')
    binary.chmod(0o755)
    command = [str(HAPROXY), "-db", "-f", str(config), "-sf", "7"]
    for _ in range(2):  # Ray may restart HAProxy with the same file
        done = subprocess.run(
            command,
            env={"TWEETELM_HAPROXY": str(binary), "PATH": "/bin:/usr/bin"},
            capture_output=True,
            text=True,
        )
        assert done.stdout == f"-db -f {config} -sf 7\n", done.stderr
    written = config.read_text()
    assert "mode 600" in written
    assert "mode 666" not in written
    assert "bind 127.0.0.1:9101" in written
    assert "bind 127.0.0.1:8404" in written
    assert "bind *:8000" in written
    assert written.count("timeout http-request 10s") == 1
    assert written.count("timeout queue 20s") == 1
    assert "server SERVE_REPLICA_a 127.0.0.1:30785 maxconn 1024 check observe" in written
    assert written.count("maxconn 1024") == 2
    assert written.count("tune.pool-high-fd-ratio 95") == 1


def test_unexpected_haproxy_config_is_an_error(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(RAYS.replace("frontend prometheus", "frontend metrics"))
    done = subprocess.run(
        [str(HAPROXY), "-f", str(config)], env={"TWEETELM_HAPROXY": "/bin/true", "PATH": "/bin:/usr/bin"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "serve/deploy/haproxy" in done.stderr
