"""Our service for benchmarks: a Ray of its own, with published models of random weights."""

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
    """A running service; `mark` tells its processes."""

    url: str
    mark: str
    folder: Path

    @property
    def classify_url(self) -> str:
        return f"{self.url}/v1/classify"


@contextmanager
def workplace(*, haproxy: bool, **extra: str) -> Iterator[tuple[Path, dict[str, str], str]]:
    """A folder, an environment with a home, a folder for Ray and a token of our own, and the mark in it.

    The path is short, for Ray's sockets lie in it.
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
    """`python -m MODULE FLAGS --port P`, once it is ready."""
    port = local_server.free_ports(1)[0]
    line = [sys.executable, "-m", module, *flags, "--port", str(port)]
    url = f"http://{local_server.HOST}:{port}"
    with workplace(haproxy=haproxy) as (folder, environment, mark):
        path = folder / "log.txt"
        with (
            path.open("w") as log,
            subprocess.Popen(line, cwd=ROOT, env=environment, stdout=log, stderr=log) as process,
            processes.ended(mark),
        ):

            def ready() -> bool:
                if process.poll() is not None:
                    raise RuntimeError("it has ended")
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


def command(registry: Path, *, haproxy: bool = True) -> AbstractContextManager[Service]:
    """`python -m serve`, as people type it."""
    flags = ["--registry", str(registry), "--stay", *(["--haproxy"] if haproxy else [])]
    return _program("serve", *flags, haproxy=haproxy)


def peer(kind: str, *, model: Path | None = None) -> AbstractContextManager[Service]:
    """One of `benchmarks.peers`."""
    return _program("benchmarks.peers", kind, *(["--model", str(model)] if model else []))


@dataclass(frozen=True)
class Driven(Service):
    """A service whose driver takes orders."""

    process: "subprocess.Popen[str]" = field(repr=False)

    def order(self, **order: Any) -> dict[str, Any]:
        """One of `benchmarks.driver`'s commands, and its answer.

        Raises:
            RuntimeError: it failed.
        """
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def replicas(self) -> dict[str, int]:
        """How many replicas are in which state; empty while the controller does not answer."""
        try:
            found: dict[str, int] = self.order(status=True)["replicas"]
        except RuntimeError:
            return {}
        return found

    def settled(self, count: int) -> bool:
        """Whether just so many replicas run, and the deployment is where it should be."""
        try:
            found = self.order(status=True)
        except RuntimeError:
            return False
        states = found["app"], found["deployment"], found["replicas"]
        return states == ("RUNNING", ["HEALTHY"], {"RUNNING": count})


@contextmanager
def driven(*, haproxy: bool = True, cpus: int = 4, **extra: str) -> Iterator[Driven]:
    """Ray Serve with nothing deployed yet."""
    port = local_server.free_ports(1)[0]
    line = [sys.executable, "-m", "benchmarks.driver", "--port", str(port), "--cpus", str(cpus)]
    with workplace(haproxy=haproxy, **extra) as (folder, environment, mark):
        with (folder / "driver.log").open("w") as log:
            pipe = subprocess.PIPE
            process = subprocess.Popen(
                line, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=log, text=True
            )
        with process:
            assert process.stdout
            if not process.stdout.readline():
                raise RuntimeError(f"Ray did not start:\n{(folder / 'driver.log').read_text()[-2000:]}")
            yield Driven(f"http://{local_server.HOST}:{port}", mark, folder, process)


def app(
    args: Mapping[str, Any], *, user_config: Mapping[str, Any], build: str = "serve.app:build", **options: Any
) -> dict[str, Any]:
    """The application as serve/config.yaml has it. `options` are of its deployment."""
    deployment = {"name": "TweetClassifier", "user_config": dict(user_config), **options}
    return {
        "name": "tweetelm",
        "route_prefix": "/",
        "import_path": build,
        "args": dict(args),
        "deployments": [deployment],
    }


def wait_for(claim: str, check: Callable[[], bool], *, within_s: float, every_s: float = 0.2) -> float:
    """The seconds until `check()` was true.

    Raises:
        TimeoutError: it was not within `within_s`.
    """
    began = time.monotonic()
    while not check():
        if time.monotonic() - began > within_s:
            raise TimeoutError(f"after {within_s:g} s it is not true that {claim}")
        time.sleep(every_s)
    return time.monotonic() - began
