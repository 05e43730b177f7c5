"""The desk from which people type: cluster.local.yaml filled in for the hosts, and the README's commands."""

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
class Typed:
    """A command that has ended."""

    status: int
    output: str
    seconds: float


class Desk:
    """A folder with what `ray up` needs, and the environment of a shell in it."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.hosts = list(hosts)
        self.folder = hosts[0].folder / "desk"
        self.token, self.key = secrets.token_hex(32), secrets.token_urlsafe(32)
        (self.folder / "secrets").mkdir(parents=True)
        for name in ("src", "serve", "ray_jobs"):
            (self.folder / name).symlink_to(ROOT / name)
        self.keep("ray_auth_token", self.token)
        self.keep("api_keys", f"desk:{self.key}")
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

    def keep(self, name: str, secret: str) -> None:
        """A secret in a file that nobody else reads."""
        path = self.folder / "secrets" / name
        path.touch(0o600)
        path.write_text(secret)

    def type(self, *line: str, folder: Path = ROOT, seconds: float = JOB_SECONDS) -> Typed:
        """A command, shown as it is typed; its output goes into a file beside it, and comes back."""
        begun = time.monotonic()
        say(f"$ {' '.join(line)}")
        done = subprocess.run(
            line, cwd=folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds
        )
        output = done.stdout.decode(errors="replace")
        with (self.folder / "typed.log").open("a") as log:
            log.write(f"$ {' '.join(line)}\n{output}\n")
        return Typed(done.returncode, output, time.monotonic() - begun)

    def up(self) -> Typed:
        """`ray up`; the workers join later."""
        return must(
            self.type("ray", "up", "--yes", "--no-config-cache", "cluster.local.yaml", folder=self.folder)
        )

    def close_doors(self) -> None:
        """serve/deploy/firewall.nft on every host."""
        cluster = ", ".join(host.address for host in self.hosts)
        for host in self.hosts:
            line = f"nft --define cluster='{{ {cluster} }}' --file ~/tweetelm/serve/deploy/firewall.nft"
            say(f"{host.name}# {line}")
            wait_for(
                f"{host.name} has the file", lambda h=host: h.run("ls ~/tweetelm/serve").returncode == 0, 120
            )
            done = host.run(line)
            if done.returncode:
                raise RuntimeError(done.stderr)

    def down(self) -> Typed:
        """The workers first: `ray down` stops the head only."""
        must(
            self.type(
                sys.executable,
                "-m",
                "ray_jobs.cluster.stop_workers",
                "cluster.local.yaml",
                folder=self.folder,
            )
        )
        return must(self.type("ray", "down", "--yes", "cluster.local.yaml", folder=self.folder))

    @contextlib.contextmanager
    def tunnel(self) -> Iterator[None]:
        """`ray dashboard`, open meanwhile."""
        say("$ ray dashboard cluster.local.yaml &")
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
        """JSON of the dashboard, with the cluster's token or another."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        request = urllib.request.Request(DASHBOARD + path, headers=headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return json.load(answer)

    def nodes(self) -> list[str]:
        """Addresses of the hosts that Ray counts as alive."""
        found = self.get("/nodes?view=summary")["data"]["summary"]
        return sorted(node["ip"] for node in found if node["raylet"].get("state") == "ALIVE" and "ip" in node)

    def joined(self, count: int, seconds: float = 300) -> float:
        """Seconds until so many hosts are alive."""
        return wait_for(f"{count} hosts are alive", lambda: len(self.nodes()) == count, seconds)

    def submit(self, *line: str, wait: bool = True) -> Typed:
        """`ray job submit` with the project's runtime environment."""
        flags = ["--address", DASHBOARD, "--working-dir", ".", "--runtime-env", "runtime_env.yaml"]
        return self.type("ray", "job", "submit", *flags, *([] if wait else ["--no-wait"]), "--", *line)

    def deploy(self) -> Typed:
        """`serve deploy` of serve/config.yaml with what its comments say of a cluster."""
        config = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
        config["proxy_location"] = "EveryNode"
        config["http_options"]["host"] = "0.0.0.0"
        (app,) = config["applications"]
        app["args"] |= {"registry": f"{SHARED}/models", "tasks": ["hate"], "min_replicas": 2, "device": "cpu"}
        app["deployments"] = [{"name": "TweetClassifier", "max_replicas_per_node": 1}]
        path = self.folder / "serve.yaml"
        path.write_text(yaml.safe_dump(config))
        return must(self.type("serve", "deploy", "--address", DASHBOARD, str(path)))

    def ask(self, host: Host, text: str = "seriously, a Vorn moved in next door") -> dict[str, Any]:
        """The endpoint's answer on one host."""
        body = json.dumps({"model": "hate", "input": [text]}).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{host.address}:8000/v1/classify", body, headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def answers(self, host: Host) -> bool:
        """Whether that host's endpoint answers a question."""
        try:
            return bool(self.ask(host)["data"])
        except OSError:
            return False


def filled_in(hosts: Sequence[Host]) -> str:
    """cluster.local.yaml, the values at its top replaced."""
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


def must(done: Typed) -> Typed:
    """The command, if it has succeeded."""
    if done.status:
        raise RuntimeError(f"it ended with {done.status}:\n{done.output[-4000:]}")
    return done


def say(line: str) -> None:
    print(line, flush=True)
