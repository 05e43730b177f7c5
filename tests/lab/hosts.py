"""Hosts on this machine, each with its own address, files, processes and sshd, in Linux namespaces.

All hosts of a run share an outer sandbox of namespaces (`enter`). Its network is private, so addresses never
collide. When its first process ends, for any reason, the kernel kills all others. Needs root.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.ray_head import wait_for

ROOT = Path(__file__).parents[2]
GATEWAY = "10.0.0.1"  # address of the sandbox itself, the user's machine
TOOLS = ("ip", "nft", "unshare", "setpriv", "rsync", "ssh", "ssh-keygen", "/usr/sbin/sshd")
_SANDBOX = "TWEETELM_LAB"
_NEW = [
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
]


def missing() -> str:
    """Why hosts cannot be created on this machine; empty if they can."""
    lacking = [tool for tool in TOOLS if not shutil.which(tool)]
    if lacking:
        packages = "iproute2 nftables util-linux openssh-server rsync"
        return f"the lab needs {', '.join(lacking)}: apt-get install {packages}"
    if os.geteuid() != 0:
        return "the lab needs root, because its hosts are Linux namespaces with their own mounts"
    trial = "mount -t tmpfs tmpfs $0 && mkdir $0/files $0/work $0/root && "
    trial += "mount -t overlay overlay -o lowerdir=/,upperdir=$0/files,workdir=$0/work $0/root && "
    trial += "ip link add bridge0 type bridge"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*_NEW, "sh", "-c", trial, folder], capture_output=True, text=True)
    return (
        f"this machine does not allow namespaces or mounts: {done.stderr.strip()}" if done.returncode else ""
    )


def enter(module: str, arguments: list[str]) -> int:
    """Run a module in a new sandbox and return its exit status; all its processes end with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="lab") as folder:
        environment = {**os.environ, _SANDBOX: folder}
        line = [*_NEW, sys.executable, "-m", module, *arguments]
        process = subprocess.Popen(line, env=environment, cwd=ROOT)
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            return process.wait()


def inside() -> bool:
    """Whether this process runs in a sandbox."""
    return _SANDBOX in os.environ


@dataclass
class Host:
    """A host that can be powered on and off; its disk persists."""

    name: str
    address: str
    folder: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def power_on(self) -> None:
        """Power the host on and wait until it accepts an ssh login."""
        namespace, end = self.name, f"v{self.name}"
        _ip("netns", "add", namespace)
        mac = "02:00:" + ":".join(f"{int(part):02x}" for part in self.address.split("."))
        _ip("link", "add", end, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", namespace)
        _ip("link", "set", end, "master", "bridge0", "up")
        _ip("-n", namespace, "addr", "add", f"{self.address}/24", "dev", "eth0")
        _ip("-n", namespace, "link", "set", "eth0", "up")
        _ip("-n", namespace, "route", "add", "default", "via", GATEWAY)
        line = ["ip", "netns", "exec", namespace, "unshare", "--mount", "--pid", "--fork", "--uts", "--ipc"]
        line += ["--kill-child", "--mount-proc", "sh", str(Path(__file__).with_name("host.sh"))]
        log = (self.folder / f"{self.name}.log").open("ab")
        self.process = subprocess.Popen(
            [*line, self.name, self.address, str(self.folder), *_visible()],
            env={**os.environ, "TWEETELM_VENV": sys.prefix},
            stdout=log,
            stderr=log,
        )
        try:
            wait_for(f"{self.name} accepts a login", lambda: self.run("true").returncode == 0, 30)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {(self.folder / f'{self.name}.log').read_text()}") from None

    def power_off(self) -> None:
        """Power the host off at once, without a shutdown."""
        assert self.process
        self.process.kill()  # the kernel kills all other processes with the first one
        self.process.wait()
        _ip("link", "del", f"v{self.name}")
        _ip("netns", "del", self.name)
        self.process = None

    def cut(self) -> None:
        """Cut the network of the host; its processes keep running."""
        _ip("link", "set", f"v{self.name}", "down")

    def reconnect(self) -> None:
        """Reconnect the network of the host."""
        _ip("link", "set", f"v{self.name}", "up")

    def run(self, command: str, *, seconds: float = 60) -> "subprocess.CompletedProcess[str]":
        """Run a command line on the host over ssh."""
        key = str(self.folder / "ssh" / "key")
        known = [
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
        ]
        line = ["ssh", "-i", key, *known, "-o", "ConnectTimeout=5", f"root@{self.address}", command]
        return subprocess.run(line, capture_output=True, text=True, timeout=seconds, check=False)

    def processes(self) -> list[str]:
        """The command lines of all processes on the host, except its sshd."""
        if self.process is None:
            return []
        family = psutil.Process(self.process.pid).children(recursive=True)
        first = next(p for p in family if p.name() == "sshd")
        namespace = os.stat(f"/proc/{first.pid}/ns/pid").st_ino
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):  # the process has ended
                if os.stat(f"/proc/{process.pid}/ns/pid").st_ino == namespace and process.name() != "sshd":
                    found.append(" ".join(process.cmdline()))
        return found


@contextlib.contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """Create `count` hosts with addresses from 10.0.0.10 and power them on; only in a sandbox."""
    folder = Path(os.environ[_SANDBOX])
    _ip("link", "set", "lo", "up")
    _ip("link", "add", "bridge0", "type", "bridge")
    _ip("addr", "add", f"{GATEWAY}/24", "dev", "bridge0")
    _ip("link", "set", "bridge0", "up")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)  # `ip netns` stores names there
    for name in ("disk", "root", "shared", "ssh"):
        (folder / name).mkdir()
    key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "ssh" / "key")]
    subprocess.run(key, check=True)
    made = [Host(f"host{i}", f"10.0.0.{10 + i}", folder) for i in range(count)]
    for host in made:
        host.power_on()
    yield made


def _visible() -> list[str]:
    """Folders that must stay visible under the host's own /tmp, /run and /home."""
    wanted = {str(ROOT), sys.prefix, sys.base_prefix}
    return sorted(p for p in wanted if p.split("/")[1] in ("tmp", "run", "home"))


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
