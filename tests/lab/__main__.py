"""End-to-end test on a cluster of three hosts on this machine: `python -m tests.lab`.

Starts the cluster with `ray up`, trains across two hosts, searches, deploys and sends requests. The head
loses power and is recovered. A fourth host without a token probes every listening socket. The token is
changed. `--short` skips the search and the token. All processes and files are removed at the end, also after
a failure; `--keep FOLDER` keeps the logs.
"""

import argparse
import json
import secrets
import shutil
import sys
import time
import urllib.error
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tests.lab import hosts as lab
from tests.lab.desk import SHARED, Desk, check, echo
from tests.lab.doors import Listener
from tests.lab.hosts import ROOT, Host
from tests.support.ray_head import wait_for

TINY = "--task hate --data.root sample --data.limit 300 --model.name scratch-1m --model.max-tokens 64"
TINY += f" --loop.epochs 2 --loop.batch-tokens 1024 --tracking.wandb off --run.storage {SHARED}/runs"
TINY += f" --run.registry {SHARED}/models"


class StepLog:
    """The completed steps and their durations."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        echo(f"--- {name}")
        yield
        self.lines.append(f"{time.monotonic() - begun:6.0f} s  {name}")
        echo(f"    {self.lines[-1].strip()}")


def workers(host: Host) -> int:
    """Number of Ray Train workers on a host."""
    return sum("RayTrainWorker" in line for line in host.processes())


def train(desk: Desk, hosts: Sequence[Host]) -> None:
    """Train with two workers on two hosts, and print the progress from the job's log."""
    line = ["python", "-m", "ray_jobs.train", "--name", "across", *TINY.split(), "--run.workers", "2"]
    check(desk.submit(*line, "--run.cpus", "2", wait=False))
    (job,) = [j["submission_id"] for j in desk.get("/api/jobs/") if "across" in j["entrypoint"]]
    wait_for("two hosts train", lambda: sum(workers(host) > 0 for host in hosts) == 2, 300)
    done = check(desk.run("ray", "job", "logs", "--address", "http://127.0.0.1:8265", "--follow", job))
    echo("\n".join(line for line in done.output.splitlines() if "epoch" in line or "published" in line))
    wait_for("the job has succeeded", lambda: desk.get(f"/api/jobs/{job}")["status"] == "SUCCEEDED", 30)


def search(desk: Desk) -> None:
    """Search with four trials."""
    line = [
        "python",
        "-m",
        "ray_jobs.tune",
        "--name",
        "search",
        *TINY.split(),
        "--space",
        "tiny",
        "--trials",
        "4",
    ]
    done = check(desk.submit(*line))
    echo("\n".join(line for line in done.output.splitlines() if line.startswith("trial") or "best" in line))


def serve(desk: Desk, hosts: Sequence[Host]) -> None:
    """Deploy, and wait until the head and a worker host answer; hosts without a replica do not listen."""
    desk.deploy()
    for wanted in (hosts[:1], hosts[1:]):
        seconds = wait_for(
            f"{wanted[0].name} answers", lambda group=wanted: any(map(desk.answers, group)), 240
        )
        echo(f"after {seconds:.0f} s: {', '.join(host.name for host in wanted if desk.answers(host))} answer")


def recover(desk: Desk, hosts: Sequence[Host]) -> None:
    """Power the head off and recover it with its disk, as in docs/cluster/recovery.md."""
    hosts[0].power_off()
    echo(f"head off: {sum(map(desk.answers, hosts[1:]))} of {len(hosts) - 1} other hosts answer")
    hosts[0].power_on()
    desk.up()
    desk.apply_firewall()
    with desk.tunnel():
        desk.wait_for_hosts(len(hosts))
        serve(desk, hosts)


def change_token(desk: Desk, hosts: Sequence[Host]) -> None:
    """Change the token as in docs/cluster/recovery.md; the old one must then be rejected.

    Raises:
        RuntimeError: the dashboard accepts the old token.
    """
    desk.down()
    old, desk.token = desk.token, secrets.token_hex(32)
    desk.write_secret("ray_auth_token", desk.token)
    desk.up()
    with desk.tunnel():
        desk.wait_for_hosts(len(hosts))
        try:
            desk.get("/api/jobs/", old)
        except urllib.error.HTTPError as error:
            echo(f"old token: {error.code} {error.reason}")
        else:
            raise RuntimeError("the dashboard still accepts the old token")


def probe_listeners(hosts: Sequence[Host], outsider: Host) -> list[Listener]:
    """Every listening socket of the cluster, with the result of a probe from `outsider`."""
    python = f"cd {ROOT} && {sys.prefix}/bin/python -m tests.lab.doors"
    found = []
    for host in hosts:
        done = host.run(f"{python} listen {host.address}")
        found += json.loads(done.stdout)
    (outsider.folder / "shared" / "listeners.json").write_text(json.dumps(found))
    done = outsider.run(f"{python} try < {SHARED}/listeners.json", seconds=600)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [Listener(**values) for values in json.loads(done.stdout)]


def table(listeners: Sequence[Listener]) -> str:
    """One line per socket."""
    return "\n".join(
        f"{listener.host}:{listener.port:<6} {listener.owner[:32]:<32} {listener.found}"
        for listener in listeners
    )


def leaked_secrets(desk: Desk, hosts: Sequence[Host]) -> list[str]:
    """Places where other users can read a secret: command lines, logs, file modes."""
    found = []
    for secret, name in ((desk.token, "ray_auth_token"), (desk.key, "api_keys")):
        for host in hosts:
            lines = [line for line in host.processes() if secret in line]
            found += [f"{name} in a command line of {host.name}: {line[:80]}" for line in lines]
            logs = host.run(f"grep -rls {secret} /tmp /var/log").stdout.split()
            found += [f"{name} in {host.name}:{log}" for log in logs]
    for host in hosts:
        for path in ("auth_token", "api_keys"):
            mode = host.run(f"stat -c %a ~/tweetelm/{path}").stdout.strip()
            found += [f"{host.name}: {path} has mode {mode}"] if mode != "600" else []
    return found


def run_scenario(made: Sequence[Host], *, short: bool) -> int:
    """Run all steps; returns the exit status."""
    *hosts, outsider = made
    desk, steps = Desk(hosts), StepLog()
    with steps.step("ray up cluster.local.yaml, firewall"):
        desk.up()
        desk.apply_firewall()
    with desk.tunnel():
        with steps.step(f"{len(hosts)} hosts have joined"):
            desk.wait_for_hosts(len(hosts))
        with steps.step("ray job submit: train across two hosts"):
            train(desk, hosts)
        if not short:
            with steps.step("ray job submit: a search"):
                search(desk)
        with steps.step("serve deploy, responses from two hosts"):
            serve(desk, hosts)
    with steps.step("head loses power and is recovered: ray up, serve deploy, responses from two hosts"):
        recover(desk, hosts)
    with desk.tunnel():
        with steps.step("probe of every socket from a host without token and key"):
            listeners = probe_listeners(hosts, outsider)
            echo(table(listeners))
        if not short:
            with steps.step("the same from a host of the cluster, where only token and keys protect"):
                echo(table(probe_listeners(hosts, hosts[1])))
        leaks = leaked_secrets(desk, hosts)
    if not short:
        with steps.step("token change: ray down, new token, ray up; the old one is rejected"):
            change_token(desk, hosts)
    with steps.step("ray down"):
        desk.down()
    left = [f"{host.name}: {line[:100]}" for host in hosts for line in host.processes()]
    echo(
        "\n".join(
            ["", *steps.lines, f"{len(left)} processes left, {len(leaks)} secrets leaked", *left, *leaks]
        )
    )
    (desk.folder / "listeners.json").write_text(json.dumps([asdict(listener) for listener in listeners]))
    return bool(left or leaks or [listener for listener in listeners if not listener.closed])


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("--short", action="store_true", help="skip the search and the token change")
    parser.add_argument("--keep", type=Path, help="folder for the logs of all hosts")
    arguments = parser.parse_args()
    if reason := lab.missing():
        print(f"error: {reason}", file=sys.stderr)
        return 2
    if not lab.inside():
        return lab.enter("tests.lab", sys.argv[1:])
    with lab.hosts(4) as made:
        try:
            return run_scenario(made, short=arguments.short)
        finally:
            if arguments.keep:
                collect(made, arguments.keep)


def collect(made: Sequence[Host], target: Path) -> None:
    """Copy the logs of Ray and sshd of every host, and the log of all commands."""
    for host in made:
        files = host.run("cp -rL /tmp/ray/session_latest/logs /srv/shared/$(hostname)-logs; true")
        assert files.returncode == 0
    shutil.copytree(
        made[0].folder / "shared", target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock")
    )
    for path in [*made[0].folder.glob("*.log"), *(made[0].folder / "desk").glob("*.log")]:
        shutil.copy(path, target)


if __name__ == "__main__":
    sys.exit(main())
