"""`python -m ray_jobs.cluster.stop_workers cluster.local.yaml`: stops Ray on all machines of a local cluster.

On a local cluster, `ray down` stops the head only and leaves Ray running on the workers. This command stops
the head first, since its autoscaler would restart the workers.
"""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from ray_jobs.cli import refuse
from ray_jobs.cluster.config_parser import read
from tweetelm.cli import command

_SSH = "ssh -i ~/ray_bootstrap_key.pem -o StrictHostKeyChecking=no -o ConnectTimeout=5 -o BatchMode=yes"
_STOP = shlex.quote("bash -lic 'ray stop' 2>/dev/null")


def stop_command(config: dict[str, Any]) -> str:
    """Return the shell command for the head; "" for a cloud, where `ray down` terminates the instances.

    An unreachable worker is reported and skipped.
    """
    provider = config["provider"]
    if provider["type"] != "local":
        return ""
    workers = " ".join(map(str, provider["worker_ips"]))
    user = config["auth"]["ssh_user"]
    stop = f"{_SSH} {user}@$host {_STOP} || echo cannot stop Ray on $host >&2"
    return f"ray stop; for host in {workers}; do ({stop}) & done; wait"


def main() -> int:
    """Run the command; returns the exit status."""
    if len(sys.argv) != 2:
        print("usage: python -m ray_jobs.cluster.stop_workers cluster.local.yaml", file=sys.stderr)
        return 2
    with refuse():
        file = read(Path(sys.argv[1]))
        try:
            line = stop_command(file.config)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{file.path} lacks {error}; expected a Ray cluster file, such as cluster.local.yaml"
            ) from None
    if not line:
        return 0
    ray = str(Path(sys.executable).with_name("ray"))
    print(f"ray exec {sys.argv[1]} {shlex.quote(line)}", flush=True)
    return subprocess.run([ray, "exec", sys.argv[1], line], check=False).returncode


if __name__ == "__main__":
    command.run(main)
