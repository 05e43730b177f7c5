"""Our service for benchmarks, on its own Ray cluster."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import processes
from serve import client, local_server

ROOT = Path(__file__).parents[1]
START_S = 180.0


@dataclass(frozen=True)
class Service:
    """A running service; `mark` is the marker in the environment of its processes."""

    url: str
    mark: str
    folder: Path

    @property
    def classify_url(self) -> str:
        return f"{self.url}/v1/classify"


@contextmanager
def isolated_environment(*, haproxy: bool, **extra: str) -> Iterator[tuple[Path, dict[str, str], str]]:
    """A temporary folder, an environment with its own home, Ray folder and token, and the marker in it.

    The path of the folder is short, because it contains Ray's sockets.
    """
    with tempfile.TemporaryDirectory(prefix="tw", ignore_cleanup_errors=True) as name:
        mark = secrets.token_hex(8)
        own = {
            "HOME": name,
            "RAY_TMPDIR": name,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
        own |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PYTHONWARNINGS": "ignore", processes.MARKER: mark}
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        added = local_server.environment(own, Path(name), haproxy=haproxy)
        yield Path(name), inherited | own | added | extra, mark


@contextmanager
def _program(module: str, *flags: str, haproxy: bool = False) -> Iterator[Service]:
    """Run `python -m MODULE FLAGS --port P`; yields when it is ready.

    Raises:
        RuntimeError: the process ended or was not ready in `START_S` seconds.
    """
    port = local_server.free_ports(1)[0]
    line = [sys.executable, "-m", module, *flags, "--port", str(port)]
    url = f"http://{local_server.HOST}:{port}"
    with isolated_environment(haproxy=haproxy) as (folder, environment, mark):
        path = folder / "log.txt"
        with (
            path.open("w") as log,
            subprocess.Popen(line, cwd=ROOT, env=environment, stdout=log, stderr=log) as process,
            processes.end_on_exit(mark),
        ):

            def ready() -> bool:
                if process.poll() is not None:
                    raise RuntimeError("the process has ended")
                try:
                    client.get(f"{url}/ready")
                except (client.RefusedError, OSError):
                    return False
                return True

            try:
                took = wait_for(f"{module} is ready", ready, within_s=START_S)
            except (TimeoutError, RuntimeError) as error:
                raise RuntimeError(f"{' '.join(line)}: {error}\n{path.read_text()[-2000:]}") from error
            print(f"{module} was ready after {took:.0f} s", flush=True)
            yield Service(url, mark, folder)


def command(registry: Path, *, haproxy: bool = True, answers: int = 0) -> AbstractContextManager[Service]:
    """Run `python -m serve`, as users do; without kept answers, since load generators repeat their texts."""
    flags = ["--registry", str(registry), "--stay", "--answers", str(answers)]
    flags += ["--haproxy"] if haproxy else []
    return _program("serve", *flags, haproxy=haproxy)


def peer(kind: str, *, model: Path | None = None) -> AbstractContextManager[Service]:
    """Run a reference server of `benchmarks.peers`."""
    return _program("benchmarks.peers", kind, *(["--model", str(model)] if model else []))


@dataclass(frozen=True)
class DrivenService(Service):
    """A service whose driver process accepts commands."""

    process: "subprocess.Popen[str]" = field(repr=False)

    def send(self, **command: Any) -> dict[str, Any]:
        """Send a command of `benchmarks.driver` and return its response.

        Raises:
            RuntimeError: the command failed.
        """
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def replicas(self) -> dict[str, int]:
        """Number of replicas by state; empty while the controller does not answer."""
        try:
            found: dict[str, int] = self.send(status=True)["replicas"]
        except RuntimeError:
            return {}
        return found

    def is_stable(self, count: int) -> bool:
        """Whether exactly `count` replicas run and the deployment is healthy."""
        try:
            found = self.send(status=True)
        except RuntimeError:
            return False
        states = found["app"], found["deployment"], found["replicas"]
        return states == ("RUNNING", ["HEALTHY"], {"RUNNING": count})


@contextmanager
def driven(*, haproxy: bool = True, cpus: int = 4, **extra: str) -> Iterator[DrivenService]:
    """Start Ray Serve without an application."""
    port = local_server.free_ports(1)[0]
    line = [sys.executable, "-m", "benchmarks.driver", "--port", str(port), "--cpus", str(cpus)]
    with isolated_environment(haproxy=haproxy, **extra) as (folder, environment, mark):
        with (folder / "driver.log").open("w") as log:
            pipe = subprocess.PIPE
            process = subprocess.Popen(
                line, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=log, text=True
            )
        with process:
            assert process.stdout
            if not process.stdout.readline():
                raise RuntimeError(f"Ray did not start:\n{(folder / 'driver.log').read_text()[-2000:]}")
            yield DrivenService(f"http://{local_server.HOST}:{port}", mark, folder, process)


def app(
    args: Mapping[str, Any], *, user_config: Mapping[str, Any], build: str = "serve.app:build", **options: Any
) -> dict[str, Any]:
    """The application in the format of serve/config.yaml; `options` are those of its deployment."""
    deployment = {"name": "TweetClassifier", "user_config": dict(user_config), **options}
    return {
        "name": "tweetelm",
        "route_prefix": "/",
        "import_path": build,
        "args": dict(args),
        "deployments": [deployment],
    }


def wait_for(claim: str, check: Callable[[], bool], *, within_s: float, every_s: float = 0.2) -> float:
    """Wait until `check()` is true; returns the seconds.

    Raises:
        TimeoutError: it is not true within `within_s` seconds.
    """
    began = time.monotonic()
    while not check():
        if time.monotonic() - began > within_s:
            raise TimeoutError(f"not true after {within_s:g} s: {claim}")
        time.sleep(every_s)
    return time.monotonic() - began
