"""`python -m serve`: serves the published models over HTTP on this machine."""

import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from serve import client, local_server
from serve.limits import ANSWERS
from serve.middleware.auth import Keys, ensure_guarded
from serve.settings import Precision, Settings, read
from tweetelm import registry as versions
from tweetelm.cli import command
from tweetelm.cli.ray_startup import ensure_open_files
from tweetelm.files.paths import located
from tweetelm.tasks import task_name

READY_WITHIN_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """Serve the published models over HTTP on this machine. API keys are read from TWEETELM_API_KEYS
    (KEY,KEY) or TWEETELM_API_KEYS_FILE (one per line). Without keys, only this machine can connect."""

    registry: str = "models"
    """Folder or URL of the model registry."""
    tasks: tuple[str, ...] = ()
    """Tasks to serve, by name or task file. Default: every task with a published version."""
    host: str = local_server.HOST
    """Address to bind. Addresses other than 127.0.0.1 require API keys."""
    port: int | None = None
    """Port to bind. Default: 8000, or the next free port."""
    ask: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Text to classify once the service is ready. Repeat the flag for several texts."""
    answers: int = ANSWERS
    """Answers kept per model and replica, for texts that come again. 0: none."""
    precision: Precision = "auto"
    """Arithmetic of the models. int8 is used only if its answers agree with the evaluated ones."""
    haproxy: bool = False
    """Run HAProxy in front of the replicas, as in production. Its overhead per request is a fifth of that of
    Ray Serve's own proxy."""
    stay: bool = True
    """Serve until Ctrl-C or SIGTERM. With --no-stay, exit once the --ask texts are classified."""

    def __post_init__(self) -> None:
        if self.answers < 0:
            raise ValueError(f"--answers is {self.answers}; expected at least 0")


def settings_of(options: Options) -> Settings:
    """Return the service settings with an absolute registry path: replicas have another working folder.

    Raises:
        FileNotFoundError: a task has no published version.
    """
    given = {"registry": located(options.registry), "tasks": tuple(map(task_name, options.tasks))}
    settings = read({**given, "answers": options.answers, "precision": options.precision})
    for task in settings.tasks:
        versions.read_card(task, registry=settings.registry)
    return settings


def show(url: str, options: Options) -> None:
    """Print the predictions for the --ask texts, the notices, the page's URL and a curl command."""
    client.wait_until_ready(url, within_s=READY_WITHIN_S)
    key = Keys.first(os.environ)
    models = client.get(f"{url}/info", key=key)["models"]
    for text in options.ask:
        print("\n".join(client.verdicts(url, models, text, key=key)))
    for notice in client.notices(models):
        print(notice)
    print(f"Page: {url}/\nAsk:  {client.curl(url, next(iter(models)), keyed=bool(key))}", flush=True)


def serve_until_stopped(options: Options, cluster: str | None) -> None:
    """Serve on a local Ray, or on the Ray at the address `cluster`, until a signal arrives.

    Raises:
        ValueError: the port is taken, or the host is reachable from other machines and there are no API keys.
    """
    port = local_server.free_port(options.port, host=options.host)
    ensure_guarded(options.host, Keys.of(os.environ))
    settings = settings_of(options)
    if options.port is None and port != local_server.PORT:
        print(f"Port {local_server.PORT} is taken; serving on port {port}.")
    with local_server.running(settings, options.host, port, cluster=cluster):
        show(f"http://{_reachable(options.host)}:{port}", options)
        if options.stay:
            stay()


def _reachable(host: str) -> str:
    """Return an address through which this machine can connect to `host`."""
    return {"0.0.0.0": local_server.HOST, "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)


def stay() -> None:
    """Block until Ctrl-C or SIGTERM."""
    local_server.end_on_signals()
    print("Serving until Ctrl-C.", flush=True)
    signal.pause()


def main() -> int:
    """Run the command; returns the exit status."""
    options = command.parse(Options, module="serve")
    with tempfile.TemporaryDirectory(prefix="tweetelm-serve-") as folder:
        os.environ.update(local_server.environment(os.environ, Path(folder), haproxy=options.haproxy))
        try:
            local_server.end_on_signals()
            ensure_open_files()
            serve_until_stopped(options, os.environ.get("RAY_ADDRESS"))
        except KeyboardInterrupt:
            print("Stopped.")
        except SystemExit as ended:  # raised by Ray's SIGTERM handler, which is installed while Ray starts
            if ended.code != signal.SIGTERM:
                raise
            print("Stopped.")
        except BrokenPipeError:
            raise
        except (*command.EXPLAINED, RuntimeError) as error:
            print(f"error: {command.message(error)}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    command.run(main)
