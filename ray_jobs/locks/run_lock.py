"""One command at a time writes to a run's folder, on local and on object storage.

The lock is the file .run/owner.json in that folder, which names its owner and is only ever replaced by who
has seen what it replaces (`Store.swap`). The owner renews it; an owner that is dead is replaced by the next.
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
    """Somebody else holds the lock; `owner` is who."""

    def __init__(self, message: str, owner: Owner) -> None:
        super().__init__(message)
        self.owner = owner


@contextlib.contextmanager
def locked_folder(
    place: str, what: str, *, under: str = "", identity: dict[str, Any] | None = None
) -> Iterator[None]:
    """Hold the lock of a folder or URL.

    Args:
        place: the folder or URL.
        what: it is, for messages: "run 'mine'".
        under: the run whose lock the caller, or its parent, holds already and under which this folder is: an
            owner under the same one is of the past.
        identity: told to those who are refused.

    Raises:
        BusyError: another command holds it.
        OSError: the place cannot be written.
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
            _see_it_gone(owner, mine, what, store.url)
        if store.swap(LOCK_FILE, held, _bytes(mine)):
            return
    raise TimeoutError(
        f"{store.address(LOCK_FILE)} was changed by others {_ATTEMPTS} times in a row; type the command again"
    )


def _owner(store: Store, held: Held | None) -> Owner | None:
    return read_owner(held.data, store.address(LOCK_FILE)) if held is not None and held.data else None


def _see_it_gone(owner: Owner, mine: Owner, what: str, place: str) -> None:
    """Return if the lock may be taken over from its owner; raise BusyError if it may not."""
    if mine.under and owner.under == mine.under:
        return
    why = owner.gone()
    if not why:
        raise BusyError(f"{what} in {place} is in use by {owner}: {owner.advice()}", owner)
    print(f"{what} was in use by {owner}, but {why}: going on in its place", flush=True)
    if not owner.here:  # a clock may be wrong; a sign of life makes the swap that follows fail
        time.sleep(2 * lock_owner.RENEW_S)


def _bytes(owner: Owner) -> bytes:
    return (json.dumps(owner.document(), indent=2) + "\n").encode()


class _Renewal(threading.Thread):
    """Gives the owner's signs of life, and ends the process if somebody else has taken the lock over."""

    def __init__(self, store: Store, owner: Owner, what: str) -> None:
        super().__init__(name="lock renewal", daemon=True)
        self.store, self.owner, self.what = store, owner, what
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(lock_owner.RENEW_S):
            try:
                kept = self._renew()
            except OSError as error:
                log.warning("the lock of %s could not be renewed, will be tried again: %s", self.what, error)
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
        except OSError as error:  # it lapses; what the command came to must not get lost
            log.warning("the lock of %s could not be released: %s", self.what, error)

    def _renew(self) -> bool:
        """False if the lock is another's."""
        held = self._mine()
        if held is None:
            return False
        self.owner = dataclasses.replace(self.owner, renewed=time.time())
        return self.store.swap(LOCK_FILE, held, _bytes(self.owner))

    def _mine(self) -> Held | None:
        """The file as it is; None if it does not name this owner. (By its token: a write may have succeeded
        whose answer got lost.)"""
        held = self.store.read(LOCK_FILE)
        try:
            owner = _owner(self.store, held)
        except ValueError as error:
            log.warning("%s", error)
            return None
        return held if owner is not None and owner.token == self.owner.token else None

    def _end(self) -> None:
        """Two that write to one run would damage it: this one ends, at once, with all its workers."""
        print(
            f"error: {self.what} was taken over by another command while this one was not heard of; "
            f"this one ends: {self.store.address(LOCK_FILE)} says who has it",
            file=sys.stderr,
            flush=True,
        )
        os._exit(3)
