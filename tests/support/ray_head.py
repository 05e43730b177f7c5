"""A Ray head for tests with its own home, token and ports."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from serve.local_server import free_ports
from tests.support.places import ROOT
from tests.support.ray_reaper import MARKER, reaped
from tweetelm.cli.ray_startup import RAY_PATIENCE

START_SECONDS = 180
JOB_SECONDS = 420
PORTS = (
    "port",
    "node-manager-port",
    "object-manager-port",
    "dashboard-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
    "ray-client-server-port",
)
WORKER_PORTS = 200

FAST = {  # Ray settings for tests: fast polls, little output, no watchers that poll the dashboard
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "120",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    **RAY_PATIENCE,
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "WANDB_MODE": "offline",
}


@dataclass(frozen=True)
class Cluster:
    """A running head: `address` for ray.init, `dashboard` for jobs and Serve, `env` for a client process."""

    address: str
    dashboard: str
    env: dict[str, str]
    token: str
    logs: Path

    def get(self, path: str) -> str:
        """Return the body of a GET on the dashboard, with the token; raises URLError or HTTPError."""
        return fetch(self.dashboard + path, self.token)


def fetch(url: str, token: str) -> str:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=10) as answer:
        return str(answer.read().decode())


def command(name: str) -> str:
    """Path of a command of the running interpreter, e.g. `ray` or `serve`."""
    return str(Path(sys.executable).with_name(name))


def ray_job(
    cluster: Cluster, verb: str, *line: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `ray job …` in the checkout; standard error is merged into standard output."""
    return subprocess.run(
        [command("ray"), "job", verb, "--address", cluster.dashboard, *line],
        cwd=ROOT,
        env=cluster.env if env is None else env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=JOB_SECONDS,
    )


def wait_for(claim: str, check: Callable[[], bool], seconds: float = START_SECONDS) -> float:
    """Wait until `check()` is true; returns the seconds.

    An OSError (nothing listens yet) or a command timeout counts as not yet true.

    Raises:
        TimeoutError: `check()` is not true after `seconds`.
    """
    begun, reason = time.monotonic(), ""
    while time.monotonic() < begun + seconds:
        try:
            if check():
                return time.monotonic() - begun
        except (OSError, subprocess.SubprocessError) as error:
            reason = f": {error}"
        time.sleep(0.1)
    raise TimeoutError(f"not true after {seconds:.0f} s: {claim}{reason}")


def environment(home: Path, mark: str, token: str) -> dict[str, str]:
    """This process's environment without its Ray settings and import paths, plus the cluster's own."""
    token_file = home / "token"
    token_file.touch(mode=0o600)
    token_file.write_text(token)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RAY_") and k != "PYTHONPATH"}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {
        **inherited,
        **FAST,
        MARKER: mark,
        "HOME": str(home),
        "PATH": path,
        "RAY_TMPDIR": str(home),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file),
    }


def start(home: Path, ports: dict[str, int], cpus: int, env: dict[str, str]) -> str:
    """Start the head and return its GCS address; Ray may listen on the host's own IP regardless of flags."""
    last = max(ports.values())
    flags = [f"--{name}={port}" for name, port in ports.items()]
    flags += [
        f"--min-worker-port={last + 1}",
        f"--max-worker-port={last + WORKER_PORTS}",
        f"--num-cpus={cpus}",
    ]
    flags += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--temp-dir={home}/ray"]
    flags += ["--object-store-memory=200000000", "--disable-usage-stats"]
    with (home / "start.log").open("w") as log:
        done = subprocess.run(
            [command("ray"), "start", "--head", *flags],
            env=env,
            cwd=home,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=START_SECONDS,
        )
    if done.returncode:
        raise RuntimeError(
            f"`ray start` exited with status {done.returncode}:\n{(home / 'start.log').read_text()}"
        )
    return (home / "ray" / "ray_current_cluster").read_text().strip()


def accepts_jobs(address: str, dashboard: str, agent_port: int, token: str) -> bool:
    """Whether the dashboard reports the node as alive and its agent, which starts jobs, as healthy."""
    nodes = json.loads(fetch(f"{dashboard}/nodes?view=summary", token))["data"]["summary"]
    fetch(f"http://{address.rsplit(':', 1)[0]}:{agent_port}/api/local_raylet_healthz", token)
    return bool(nodes) and all(node["raylet"]["state"] == "ALIVE" for node in nodes)


@contextmanager
def running(cpus: int = 2) -> Iterator[Cluster]:
    """Run a head with `cpus` logical CPUs that accepts jobs; stop it and its processes at the end."""
    long = len(tempfile.gettempdir()) > 30  # Ray's sockets are inside; a socket path has at most 107 bytes
    home = Path(tempfile.mkdtemp(prefix="tw", dir="/tmp" if long else None))
    mark, token = uuid.uuid4().hex, secrets.token_hex(32)
    env = environment(home, mark, token)
    ports = dict(zip(PORTS, free_ports(len(PORTS) + WORKER_PORTS), strict=False))
    dashboard, agent = f"http://127.0.0.1:{ports['dashboard-port']}", ports["dashboard-agent-listen-port"]
    with reaped(mark, home):
        address = start(home, ports, cpus, env)
        wait_for("the head accepts jobs", lambda: accepts_jobs(address, dashboard, agent, token))
        yield Cluster(address=address, dashboard=dashboard, env=env, token=token, logs=home / "ray")


def train_workers(cluster: Cluster) -> list[psutil.Process]:
    """Return the live Ray Train workers of this cluster."""
    own = {"RAY_AUTH_TOKEN_PATH": cluster.env["RAY_AUTH_TOKEN_PATH"]}.items()
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if "RayTrainWorker" in " ".join(process.cmdline()) and own <= process.environ().items():
                found.append(process)
    return found
