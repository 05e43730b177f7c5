"""Who holds a lock: a process of a machine, and whether it is still there."""

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

RENEW_S = 15.0  # between two signs of life
LAPSE_S = 120.0  # without one, an owner on another machine counts as dead
_FIELDS = {"token": str, "host": str, "machine": str, "pid": int, "started": float, "command": str}
_FIELDS |= {"since": float, "renewed": float, "under": str, "identity": dict}


@dataclass(frozen=True, kw_only=True)
class Owner:
    """What owner.json says.

    Attributes:
        token: of this one holding; a process that takes the lock again has another.
        host: its name, for people.
        machine: boot and process namespace, within which a pid means something.
        pid: of the process.
        started: when it did, in a unit of the machine's own: a pid that is used again has another.
        command: that was typed.
        since: seconds since 1970, when it took the lock.
        renewed: when it last gave a sign of life.
        under: the run whose lock the owner works under, such as a trial's search; or empty.
        identity: of the run, see `runs.check_name`.
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
        """As JSON data."""
        return asdict(self)

    def gone(self) -> str:
        """Why it counts as dead; empty if it does not."""
        if self.machine == _machine():
            return "" if _started(self.pid) == self.started else f"its process {self.pid} has ended"
        silent = time.time() - self.renewed
        return f"it gave no sign of life for {silent:.0f} s" if silent > LAPSE_S else ""

    @property
    def here(self) -> bool:
        """Whether it is, or was, a process that this one could see."""
        return self.machine == _machine()

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        command = printable(self.command[:300])
        return f"`{command}`, process {self.pid} on {printable(self.host)} since {since}"

    def advice(self) -> str:
        """What to do while it lives."""
        if self.here:
            return f"wait until it ends, or end it with `kill {self.pid}`"
        return (
            f"wait until it ends, or end it there; if that machine is gone, the lock lapses {LAPSE_S:.0f} s "
            f"after its last sign of life, which was {max(0.0, time.time() - self.renewed):.0f} s ago"
        )


def this_process(under: str, identity: dict[str, Any]) -> Owner:
    """The owner that this process is from now on."""
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


def read_owner(data: bytes, place: str) -> Owner:
    """Parse an owner.json; a damaged one raises ValueError with what to do."""
    remedy = f"see that no command uses this run any more, then delete the file: rm {shlex.quote(place)}"
    values = parse_object(data, place, remedy, _FIELDS)
    return Owner(**{name: values[name] for name in _FIELDS})


def _command() -> str:
    """The command line, with the interpreter's file name alone."""
    words = list(getattr(sys, "orig_argv", sys.argv))
    return shlex.join([Path(words[0]).name, *words[1:]]) if words else ""


def _machine() -> str:
    """Equal for processes that see each other's pids. Without /proc: for those of one machine."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # there is no such file but on Linux
        parts = [Path("/proc/sys/kernel/random/boot_id").read_text().strip()]
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _started(pid: int) -> float | None:
    """When a process did, on a clock of the machine that nobody sets; None if it is not there or a zombie."""
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
