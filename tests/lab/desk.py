"""The user's machine of the lab: a filled-in cluster.local.yaml and the documented cluster commands."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.lab.hosts import ROOT, Host
from tests.support.ray_head import wait_for

SHARED = "/srv/shared"
DASHBOARD = "http://127.0.0.1:8265"
JOB_SECONDS = 900


@dataclass(frozen=True)
class CommandResult:
    """The result of a finished command; `seconds` is its duration."""

    status: int
    output: str
    seconds: float


class Desk:
    """A folder with the files that `ray up` needs, and the environment of a shell in it."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.hosts = list(hosts)
        self.folder = hosts[0].folder / "desk"
        self.token, self.key = secrets.token_hex(32), secrets.token_urlsafe(32)
        (self.folder / "secrets").mkdir(parents=True)
        for name in ("src", "serve", "ray_jobs"):
            (self.folder / name).symlink_to(ROOT / name)
        self.write_secret("ray_auth_token", self.token)
        self.write_secret("api_keys", f"desk:{self.key}")
        (self.folder / "cluster.local.yaml").write_text(filled_in(hosts))
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TWEETELM_API"))}
        self.env = {
            **inherited,
            "HOME": str(self.folder),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "RAY_TMPDIR": str(self.folder),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.folder / "secrets" / "ray_auth_token"),
            "RAY_UP_enable_autoscaler_v2": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "NO_COLOR": "1",
        }

    def write_secret(self, name: str, secret: str) -> None:
        """Write a secret to a file that only its owner can read."""
        path = self.folder / "secrets" / name
        path.touch(0o600)
        path.write_text(secret)

    def run(self, *line: str, folder: Path = ROOT, seconds: float = JOB_SECONDS) -> CommandResult:
        """Print and run a command; its output is returned and appended to commands.log."""
        begun = time.monotonic()
        echo(f"$ {' '.join(line)}")
        done = subprocess.run(
            line, cwd=folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds
        )
        output = done.stdout.decode(errors="replace")
        with (self.folder / "commands.log").open("a") as log:
            log.write(f"$ {' '.join(line)}\n{output}\n")
        return CommandResult(done.returncode, output, time.monotonic() - begun)

    def up(self) -> CommandResult:
        """Run `ray up`; the workers join later."""
        return check(
            self.run("ray", "up", "--yes", "--no-config-cache", "cluster.local.yaml", folder=self.folder)
        )

    def apply_firewall(self) -> None:
        """Load serve/deploy/firewall.nft on every host."""
        cluster = ", ".join(host.address for host in self.hosts)
        for host in self.hosts:
            line = f"nft --define cluster='{{ {cluster} }}' --file ~/tweetelm/serve/deploy/firewall.nft"
            echo(f"{host.name}# {line}")
            wait_for(
                f"{host.name} has the firewall file",
                lambda h=host: h.run("ls ~/tweetelm/serve").returncode == 0,
                120,
            )
            done = host.run(line)
            if done.returncode:
                raise RuntimeError(done.stderr)

    def down(self) -> CommandResult:
        """Stop the workers, then run `ray down`, which stops only the head."""
        check(
            self.run(
                sys.executable,
                "-m",
                "ray_jobs.cluster.stop_workers",
                "cluster.local.yaml",
                folder=self.folder,
            )
        )
        return check(self.run("ray", "down", "--yes", "cluster.local.yaml", folder=self.folder))

    @contextlib.contextmanager
    def tunnel(self) -> Iterator[None]:
        """Run `ray dashboard` while the block runs."""
        echo("$ ray dashboard cluster.local.yaml &")
        with (self.folder / "tunnel.log").open("ab") as log:
            process = subprocess.Popen(
                ["ray", "dashboard", "cluster.local.yaml"],
                cwd=self.folder,
                env=self.env,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            wait_for("the tunnel is open", lambda: bool(self.nodes()), 60)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()

    def get(self, path: str, token: str = "") -> Any:
        """GET a path of the dashboard as JSON, with `token` or by default the cluster's token."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        request = urllib.request.Request(DASHBOARD + path, headers=headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return json.load(answer)

    def nodes(self) -> list[str]:
        """Addresses of the hosts that Ray reports as alive."""
        found = self.get("/nodes?view=summary")["data"]["summary"]
        return sorted(node["ip"] for node in found if node["raylet"].get("state") == "ALIVE" and "ip" in node)

    def wait_for_hosts(self, count: int, seconds: float = 300) -> float:
        """Wait until `count` hosts are alive; returns the seconds."""
        return wait_for(f"{count} hosts are alive", lambda: len(self.nodes()) == count, seconds)

    def submit(self, *line: str, wait: bool = True) -> CommandResult:
        """Run `ray job submit` with the project's runtime environment."""
        flags = ["--address", DASHBOARD, "--working-dir", ".", "--runtime-env", "runtime_env.yaml"]
        return self.run("ray", "job", "submit", *flags, *([] if wait else ["--no-wait"]), "--", *line)

    def deploy(self) -> CommandResult:
        """Deploy serve/config.yaml with the cluster settings that its comments describe."""
        config = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
        config["proxy_location"] = "EveryNode"
        config["http_options"]["host"] = "0.0.0.0"
        (app,) = config["applications"]
        app["args"] |= {"registry": f"{SHARED}/models", "tasks": ["hate"], "min_replicas": 2, "device": "cpu"}
        app["deployments"] = [{"name": "TweetClassifier", "max_replicas_per_node": 1}]
        path = self.folder / "serve.yaml"
        path.write_text(yaml.safe_dump(config))
        return check(self.run("serve", "deploy", "--address", DASHBOARD, str(path)))

    def ask(self, host: Host, text: str = "seriously, a Vorn moved in next door") -> dict[str, Any]:
        """Classify a text with the endpoint of a host; returns the response."""
        body = json.dumps({"model": "hate", "input": [text]}).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{host.address}:8000/v1/classify", body, headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def answers(self, host: Host) -> bool:
        """Whether the endpoint of a host classifies a text."""
        try:
            return bool(self.ask(host)["data"])
        except OSError:
            return False


def filled_in(hosts: Sequence[Host]) -> str:
    """The text of cluster.local.yaml with its FILL-IN values replaced."""
    workers = ", ".join(host.address for host in hosts[1:])
    values = {"head": hosts[0].address, "workers": f"[{workers}]", "user": "root"}
    values["key"] = str(hosts[0].folder / "ssh" / "key")
    lines = (ROOT / "cluster.local.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        name = line.strip().partition(":")[0]
        if line.startswith(f"  {name}: &{name} ") and name in values:
            lines[number] = f"  {name}: &{name} {values.pop(name)}"
    assert not values, f"cluster.local.yaml lacks {values}"
    return "\n".join(lines) + "\n"


def check(done: CommandResult) -> CommandResult:
    """Return the result of a successful command.

    Raises:
        RuntimeError: the command failed.
    """
    if done.status:
        raise RuntimeError(f"the command exited with status {done.status}:\n{done.output[-4000:]}")
    return done


def echo(line: str) -> None:
    print(line, flush=True)
