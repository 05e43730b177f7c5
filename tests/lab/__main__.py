"""`python -m tests.lab`: a cluster of three hosts on this machine, as people start, use and stop it.

Trains across two hosts, searches, deploys and asks; the head loses power and is brought back; a fourth host,
which has no token, tries every door; the token is changed.
`--short` leaves out the search and the token. Everything is gone afterwards, also when it fails;
`--keep FOLDER` keeps the logs.
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
from tests.lab.desk import SHARED, Desk, must, say
from tests.lab.doors import Door
from tests.lab.hosts import ROOT, Host
from tests.support.ray_head import wait_for

TINY = "--task hate --data.root sample --data.limit 300 --model.name scratch-1m --model.max-tokens 64"
TINY += f" --loop.epochs 2 --loop.batch-tokens 1024 --tracking.wandb off --run.storage {SHARED}/runs"
TINY += f" --run.registry {SHARED}/models"


class Walk:
    """What was done and how long it took."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        say(f"--- {name}")
        yield
        self.lines.append(f"{time.monotonic() - begun:6.0f} s  {name}")
        say(f"    {self.lines[-1].strip()}")


def workers(host: Host) -> int:
    """Ray Train workers that run on it."""
    return sum("RayTrainWorker" in line for line in host.processes())


def train(desk: Desk, hosts: Sequence[Host]) -> None:
    """Two workers on two hosts; the job's log tells of the progress."""
    line = ["python", "-m", "ray_jobs.train", "--name", "across", *TINY.split(), "--run.workers", "2"]
    must(desk.submit(*line, "--run.cpus", "2", wait=False))
    (job,) = [j["submission_id"] for j in desk.get("/api/jobs/") if "across" in j["entrypoint"]]
    wait_for("two hosts train", lambda: sum(workers(host) > 0 for host in hosts) == 2, 300)
    done = must(desk.type("ray", "job", "logs", "--address", "http://127.0.0.1:8265", "--follow", job))
    say("\n".join(line for line in done.output.splitlines() if "epoch" in line or "published" in line))
    wait_for("the job has succeeded", lambda: desk.get(f"/api/jobs/{job}")["status"] == "SUCCEEDED", 30)


def search(desk: Desk) -> None:
    """Four trials, two at a time."""
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
    done = must(desk.submit(*line))
    say("\n".join(line for line in done.output.splitlines() if line.startswith("trial") or "best" in line))


def serve(desk: Desk, hosts: Sequence[Host]) -> None:
    """Deploy, and ask until the head answers and another host, for Ray Serve listens where a replica is."""
    desk.deploy()
    for wanted in (hosts[:1], hosts[1:]):
        seconds = wait_for(f"{wanted[0].name} answers", lambda them=wanted: any(map(desk.answers, them)), 240)
        say(f"after {seconds:.0f} s: {', '.join(host.name for host in wanted if desk.answers(host))} answers")


def recover(desk: Desk, hosts: Sequence[Host]) -> None:
    """The head loses power and comes back with its disk: docs/cluster/recovery.md."""
    hosts[0].power_off()
    say(f"without the head {sum(map(desk.answers, hosts[1:]))} of {len(hosts) - 1} hosts answer")
    hosts[0].power_on()
    desk.up()
    desk.close_doors()
    with desk.tunnel():
        desk.joined(len(hosts))
        serve(desk, hosts)


def change_token(desk: Desk, hosts: Sequence[Host]) -> None:
    """docs/cluster/recovery.md, "The token must be changed"; the old one opens nothing then."""
    desk.down()
    before, desk.token = desk.token, secrets.token_hex(32)
    desk.keep("ray_auth_token", desk.token)
    desk.up()
    with desk.tunnel():
        desk.joined(len(hosts))
        try:
            desk.get("/api/jobs/", before)
        except urllib.error.HTTPError as error:
            say(f"the token before: {error.code} {error.reason}")
        else:
            raise RuntimeError("the token before still opens the dashboard")


def doors(hosts: Sequence[Host], stranger: Host) -> list[Door]:
    """Every listening socket of the cluster, and what the stranger finds there."""
    python = f"cd {ROOT} && {sys.prefix}/bin/python -m tests.lab.doors"
    found = []
    for host in hosts:
        done = host.run(f"{python} listen {host.address}")
        found += json.loads(done.stdout)
    (stranger.folder / "shared" / "doors.json").write_text(json.dumps(found))
    done = stranger.run(f"{python} try < {SHARED}/doors.json", seconds=600)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [Door(**values) for values in json.loads(done.stdout)]


def table(doors: Sequence[Door]) -> str:
    """A line for each."""
    return "\n".join(f"{door.host}:{door.port:<6} {door.owner[:32]:<32} {door.found}" for door in doors)


def secrets_seen(desk: Desk, hosts: Sequence[Host]) -> list[str]:
    """Where others can read a secret: command lines, logs, modes of files."""
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


def walk(made: Sequence[Host], *, short: bool) -> int:
    """Everything in order; the exit status."""
    *hosts, stranger = made
    desk, done = Desk(hosts), Walk()
    with done.step("ray up cluster.local.yaml, and the firewall"):
        desk.up()
        desk.close_doors()
    with desk.tunnel():
        with done.step(f"{len(hosts)} hosts have joined"):
            desk.joined(len(hosts))
        with done.step("ray job submit: train across two hosts"):
            train(desk, hosts)
        if not short:
            with done.step("ray job submit: a search"):
                search(desk)
        with done.step("serve deploy, and answers from every host"):
            serve(desk, hosts)
    with done.step("the head loses power and comes back: ray up, serve deploy, and answers from every host"):
        recover(desk, hosts)
    with desk.tunnel():
        with done.step("every door, tried by a host without token and key"):
            tried = doors(hosts, stranger)
            say(table(tried))
        if not short:
            with done.step("the same by a host of the cluster: what the token and the keys alone keep shut"):
                say(table(doors(hosts, hosts[1])))
        leaks = secrets_seen(desk, hosts)
    if not short:
        with done.step("the token is changed: ray down, another token, ray up; the one before is refused"):
            change_token(desk, hosts)
    with done.step("ray down"):
        desk.down()
    left = [f"{host.name}: {line[:100]}" for host in hosts for line in host.processes()]
    say("\n".join(["", *done.lines, f"{len(left)} processes left, {len(leaks)} secrets seen", *left, *leaks]))
    (desk.folder / "doors.json").write_text(json.dumps([asdict(door) for door in tried]))
    return bool(left or leaks or [door for door in tried if not door.shut])


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument(
        "--short", action="store_true", help="without the search, and without changing the token"
    )
    parser.add_argument("--keep", type=Path, help="where the logs of all hosts go")
    arguments = parser.parse_args()
    if reason := lab.missing():
        print(f"error: {reason}", file=sys.stderr)
        return 2
    if not lab.inside():
        return lab.enter("tests.lab", sys.argv[1:])
    with lab.hosts(4) as made:
        try:
            return walk(made, short=arguments.short)
        finally:
            if arguments.keep:
                collect(made, arguments.keep)


def collect(made: Sequence[Host], target: Path) -> None:
    """Logs of Ray and sshd on every host, and everything that was typed."""
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
