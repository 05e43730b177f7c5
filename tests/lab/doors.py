"""Probe which listening sockets of a host are usable without a token or an API key.

`python -m tests.lab.doors listen HOST` prints the listening sockets of this host. `… try` reads that list
from standard input on another host and probes each socket.
"""

import contextlib
import json
import socket
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import psutil

HTTP = (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/")
PATHS = (
    "/api/jobs/",
    "/api/serve/applications/",
    "/nodes?view=summary",
    "/api/job_agent/jobs/",
    "/metrics",
    "/stats",
    "/v1/models",
    "/v1/classify",
    "/docs",
    "/",
)
CALLS = (
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.InternalKVGcsService/InternalKVKeys",
    "/ray.rpc.JobInfoGcsService/GetAllJobInfo",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.ObjectManagerService/Pull",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "/ray.rpc.ReporterService/GetTraceback",
    "/ray.rpc.RuntimeEnvService/GetRuntimeEnvsInfo",
    "/ray.rpc.RayletDriver/ClusterInfo",
    "/ray.rpc.LogService/ListLogs",
)
HARMLESS = {"/": "a static page", "/docs": "the API reference"}


@dataclass(frozen=True, order=True)
class Listener:
    """A listening socket, its owner, and the result of a probe from another host."""

    host: str
    port: int
    owner: str
    bound: str
    found: str = ""

    @property
    def closed(self) -> bool:
        """Whether the probe got nothing."""
        return self.found.startswith(("unreachable", "requires", "SSH", "no authentication, no data"))


def listening(host: str) -> list[Listener]:
    """Every listening TCP socket of this host."""
    found = {}
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN:
            owner = "sshd"
            with contextlib.suppress(psutil.Error, TypeError):
                owner = _title(psutil.Process(connection.pid))
            address = connection.laddr
            found[address.port, owner] = Listener(host, address.port, owner, address.ip)
    return sorted(found.values())


def _title(process: psutil.Process) -> str:
    words = process.cmdline()
    modules = [word.rsplit("/", 1)[-1] for word in words if word.endswith(".py")]
    return (modules or [words[0].rsplit("/", 1)[-1].split()[0]])[0]


def probe(listener: Listener) -> Listener:
    """Probe a socket from this host; returns it with the result."""
    return Listener(**{**asdict(listener), "found": _found(listener.host, listener.port)})


def _found(host: str, port: int) -> str:
    try:
        with socket.create_connection((host, port), timeout=3) as connection:
            connection.sendall(HTTP[0])
            connection.settimeout(3)
            first = b""
            with contextlib.suppress(OSError):
                first = connection.recv(64)
    except OSError as error:
        return f"unreachable ({error.strerror or error})"
    if first.startswith(b"SSH-"):
        return "SSH login with a key"
    return _http(host, port) if first.startswith(HTTP[1]) else _grpc(host, port)


def _http(host: str, port: int) -> str:
    answers: dict[str, int] = {}
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for path in PATHS:
        try:
            with direct.open(f"http://{host}:{port}{path}", timeout=5) as answer:
                answers[path] = answer.status
        except urllib.error.HTTPError as error:
            answers[path] = error.code
        except OSError:
            answers[path] = 0
    exposed = [path for path, status in answers.items() if status == 200 and path not in HARMLESS]
    if exposed:
        return (
            "OPEN: metrics" if len(exposed) == len(PATHS) - len(HARMLESS) else f"OPEN: {', '.join(exposed)}"
        )
    asked = sorted({status for status in answers.values() if status in (401, 403)})
    if asked:
        return f"requires a token or a key ({', '.join(map(str, asked))})"
    return "no authentication, no data: " + ", ".join(f"{p} {s}" for p, s in answers.items())


def _grpc(host: str, port: int) -> str:
    import grpc

    codes = set()
    with grpc.insecure_channel(f"{host}:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        for call in CALLS:
            try:
                channel.unary_unary(call)(b"", timeout=3)
                codes.add("OK")
            except grpc.RpcError as error:
                codes.add(error.code().name)
    if codes & {"OK", "INVALID_ARGUMENT", "INTERNAL"}:
        return f"OPEN: gRPC answers {', '.join(sorted(codes))}"
    if "UNAUTHENTICATED" in codes:
        return "requires a token (gRPC UNAUTHENTICATED)"
    return f"gRPC: {', '.join(sorted(codes))}"


def main() -> None:
    verb, *rest = sys.argv[1:]
    if verb == "listen":
        print(json.dumps([asdict(listener) for listener in listening(rest[0])]))
    else:
        listeners = [Listener(**values) for values in json.load(sys.stdin)]
        with ThreadPoolExecutor(32) as many:
            print(json.dumps([asdict(listener) for listener in many.map(probe, listeners)]))


if __name__ == "__main__":
    main()
