"""Crashes a publisher before each of its steps in turn, and checks the registry after each crash.

A step is an audit event on a file (open, mkdir, rename, …) or a request to object storage. Every publisher
is a forked process that kills itself; another process checks the registry. Prints the number of steps, or the
failed check.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.support.registry_workers import TASK, Campaign, publish_one
from tweetelm import registry

REQUESTS = ("put", "get", "list", "list_with_delimiter")
FILES = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.scandir", "os.listdir", "fcntl.flock")


def run_in_child(action: Callable[[], object]) -> int:
    """Run `action` in a forked process; returns its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException:  # noqa: BLE001  # a forked child must not return into the caller
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_before(step: int) -> None:
    """Kill this process at step `step`, counted from 0."""
    seen = 0

    def hook(event: str, _: object) -> None:
        nonlocal seen
        if event in FILES or event == "request":
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

    sys.addaudithook(hook)


def announce_requests() -> None:
    """Make requests to object storage raise audit events, which replace those on files."""
    import obstore

    global FILES
    FILES = ()
    for name in REQUESTS:
        setattr(obstore, name, _announced(getattr(obstore, name)))


def _announced(request: Callable[..., object]) -> Callable[..., object]:
    def announced(*arguments: object, **options: object) -> object:
        sys.audit("request")
        return request(*arguments, **options)

    return announced


def crash(place: str, folder: Path, step: int) -> None:
    """Publish a better model and die at the chosen step."""
    if "://" in place:
        announce_requests()
    die_before(step)
    publish_one(place, folder / "better", 0.9, b"better")


def check_registry(place: str, folder: Path) -> None:
    """Check that published versions are intact and that an unfinished one can be published again."""
    seen = Campaign(place, acknowledged={publish_one(place, folder / "first", 0.5, b"first")[0]: 0.5})
    seen.check()
    version, promoted = publish_one(place, folder / "better", 0.9, b"better")
    assert promoted
    seen.acknowledged[version] = 0.9
    seen.check()
    assert len(registry.list_versions(TASK, registry=place)) == 2
    assert registry.rollback(TASK, registry=place) != version


def try_step(place: str, folder: Path, step: int) -> bool:
    """Crash before this step and check the registry; returns False if there is no such step."""
    assert run_in_child(lambda: publish_one(place, folder / "first", 0.5, b"first")) == 0
    status = run_in_child(lambda: crash(place, folder, step))
    assert status in (0, -signal.SIGKILL), f"step {step}: {status}"
    assert run_in_child(lambda: check_registry(place, folder)) == 0, f"after a crash before step {step}"
    return status != 0


def main() -> None:
    """Command line: the parent of the registries, and a folder for checkpoints."""
    place, folder = sys.argv[1], Path(sys.argv[2])
    step = 0
    while try_step(f"{place}/{step}", folder, step):
        step += 1
    print(step)


if __name__ == "__main__":
    main()
