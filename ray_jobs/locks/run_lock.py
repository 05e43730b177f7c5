"""A lock on a run folder, on local and on object storage.

The lock is the file .run/owner.json, which names its owner. It is changed only by compare-and-swap
(`Store.swap`). The owner renews it with heartbeats; a dead owner is replaced by the next command.
"""

import contextlib
import dataclasses
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from ray_jobs.locks import lock_owner
from ray_jobs.locks.lock_owner import Owner, read_owner, this_process
from tweetelm.registry.store import Held, Store, open_store

LOCK_FILE = ".run/owner.json"
_ATTEMPTS = 50
log = logging.getLogger(__name__)


class BusyError(ValueError):
    """Another command holds the lock; `owner` describes it."""

    def __init__(self, message: str, owner: Owner) -> None:
        super().__init__(message)
        self.owner = owner


@contextlib.contextmanager
def locked_folder(
    place: str, what: str, *, under: str = "", identity: dict[str, Any] | None = None
) -> Iterator[None]:
    """Hold the lock of a folder or URL while the block runs.

    Args:
        place: The folder or URL.
        what: Its description for messages, such as "run 'mine'".
        under: Parent run whose lock the caller holds. An owner with the same parent is stale and replaced.
        identity: Identity of the run, stored with the lock for commands that are refused.

    Raises:
        BusyError: another command holds the lock.
        OSError: the folder cannot be written.
    """
    store, mine = open_store(place), this_process(under, identity or {})
    _take(store, mine, what)
    renewal = _Renewal(store, mine, what)
    renewal.start()
    try:
        yield
    finally:
        renewal.stop()


def _take(store: Store, mine: Owner, what: str) -> None:
    for _ in range(_ATTEMPTS):
        held = store.read(LOCK_FILE)
        owner = _owner(store, held)
        if owner is not None:
            _ensure_gone(owner, mine, what, store.url)
        if store.swap(LOCK_FILE, held, _bytes(mine)):
            return
    raise TimeoutError(
        f"other commands changed {store.address(LOCK_FILE)} {_ATTEMPTS} times in a row; run the command again"
    )


def _owner(store: Store, held: Held | None) -> Owner | None:
    return read_owner(held.data, store.address(LOCK_FILE)) if held is not None and held.data else None


def _ensure_gone(owner: Owner, mine: Owner, what: str, url: str) -> None:
    """Return if the lock can be taken over from its owner; raise BusyError if the owner is alive."""
    if mine.under and owner.under == mine.under:
        return
    why = owner.gone()
    if not why:
        raise BusyError(f"{what} in {url} is in use by {owner}: {owner.advice()}", owner)
    print(f"{what} was in use by {owner}, but {why}: taking over its lock", flush=True)
    if not owner.here:  # clocks may differ; a heartbeat meanwhile makes the following swap fail
        time.sleep(2 * lock_owner.RENEW_S)


def _bytes(owner: Owner) -> bytes:
    return (json.dumps(owner.document(), indent=2) + "\n").encode()


class _Renewal(threading.Thread):
    """Sends the owner's heartbeats, and exits the process if another command has taken over the lock."""

    def __init__(self, store: Store, owner: Owner, what: str) -> None:
        super().__init__(name="lock renewal", daemon=True)
        self.store, self.owner, self.what = store, owner, what
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(lock_owner.RENEW_S):
            try:
                kept = self._renew()
            except OSError as error:
                log.warning("renewing the lock of %s failed, retrying: %s", self.what, error)
                continue
            if not kept:
                self._end()

    def stop(self) -> None:
        """Release the lock."""
        self._ended.set()
        self.join()
        try:
            held = self._mine()
            if held is not None:
                self.store.drop(LOCK_FILE, held)
        except OSError as error:  # the lock expires; the command's result must not be lost
            log.warning("releasing the lock of %s failed: %s", self.what, error)

    def _renew(self) -> bool:
        """Send a heartbeat; returns False if another command holds the lock."""
        held = self._mine()
        if held is None:
            return False
        self.owner = dataclasses.replace(self.owner, renewed=time.time())
        return self.store.swap(LOCK_FILE, held, _bytes(self.owner))

    def _mine(self) -> Held | None:
        """Return the lock file; None if its token is not this owner's. The token also identifies a write
        whose response was lost."""
        held = self.store.read(LOCK_FILE)
        try:
            owner = _owner(self.store, held)
        except ValueError as error:
            log.warning("%s", error)
            return None
        return held if owner is not None and owner.token == self.owner.token else None

    def _end(self) -> None:
        """Exit at once with all workers: two writers would damage the run."""
        print(
            f"error: another command took over {self.what} while this one sent no heartbeat; exiting: "
            f"{self.store.address(LOCK_FILE)} names the new owner",
            file=sys.stderr,
            flush=True,
        )
        os._exit(3)
