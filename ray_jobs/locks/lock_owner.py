"""The owner of a lock: a process on a machine, and whether it is alive."""

import contextlib
import os
import secrets
import shlex
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tweetelm.files.json_file import parse_object
from tweetelm.files.names import printable

RENEW_S = 15.0  # seconds between heartbeats
LAPSE_S = 120.0  # an owner on another machine without a heartbeat for so long counts as dead
_FIELDS = {"token": str, "host": str, "machine": str, "pid": int, "started": float, "command": str}
_FIELDS |= {"since": float, "renewed": float, "under": str, "identity": dict}


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The content of owner.json.

    Attributes:
        token: Random id of this acquisition; the same process gets another one each time.
        host: Host name, for messages.
        machine: Id of the boot and pid namespace in which `pid` is valid.
        pid: Process id.
        started: Start time of the process in a machine-specific unit; distinguishes reused pids.
        command: Command line.
        since: Unix time in seconds at which the lock was acquired.
        renewed: Unix time in seconds of the last heartbeat.
        under: Parent run whose lock is held, such as the search of a trial; or "".
        identity: Identity of the run, see `run_dir.check_name`.
    """

    token: str
    host: str
    machine: str
    pid: int
    started: float
    command: str
    since: float
    renewed: float
    under: str = ""
    identity: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the owner as JSON data."""
        return asdict(self)

    def gone(self) -> str:
        """Return why the owner counts as dead; "" if it is alive."""
        if self.machine == _machine():
            return "" if _started(self.pid) == self.started else f"its process {self.pid} has exited"
        silent = time.time() - self.renewed
        return f"it sent no heartbeat for {silent:.0f} s" if silent > LAPSE_S else ""

    @property
    def here(self) -> bool:
        """Whether the owner is a process of this machine and pid namespace."""
        return self.machine == _machine()

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        command = printable(self.command[:300])
        return f"`{command}`, process {self.pid} on {printable(self.host)} since {since}"

    def advice(self) -> str:
        """Return what the user can do while the owner is alive."""
        if self.here:
            return f"wait until it exits, or stop it with `kill {self.pid}`"
        return (
            "wait until it exits, or stop it on that machine; if the machine is gone, the lock expires "
            f"{LAPSE_S:.0f} s after the last heartbeat, {max(0.0, time.time() - self.renewed):.0f} s ago"
        )


def this_process(under: str, identity: dict[str, Any]) -> Owner:
    """Return this process as an owner, from now on."""
    now = time.time()
    return Owner(
        token=secrets.token_hex(8),
        host=socket.gethostname(),
        machine=_machine(),
        pid=os.getpid(),
        started=_started(os.getpid()) or 0.0,
        command=_command(),
        since=now,
        renewed=now,
        under=under,
        identity=identity,
    )


def read_owner(data: bytes, path: str) -> Owner:
    """Parse an owner.json.

    Raises:
        ValueError: it is damaged; the message says what to do.
    """
    remedy = f"check that no command uses this run, then delete the file: rm {shlex.quote(path)}"
    values = parse_object(data, path, remedy, _FIELDS)
    return Owner(**{name: values[name] for name in _FIELDS})


def _command() -> str:
    """Return the command line, with the interpreter's file name instead of its path."""
    words = list(getattr(sys, "orig_argv", sys.argv))
    return shlex.join([Path(words[0]).name, *words[1:]]) if words else ""


def _machine() -> str:
    """Return an id shared by processes in one pid namespace; without /proc, by those of one host."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # the file exists on Linux only
        parts = [Path("/proc/sys/kernel/random/boot_id").read_text().strip()]
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _started(pid: int) -> float | None:
    """Return a process's start time on a monotonic clock; None if it does not exist or is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _created(pid)
    except ProcessLookupError:
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else float(rest[18])


def _created(pid: int) -> float | None:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
