"""current.json: the pointer to the current version of a task, the only file of a registry that is replaced.

Updates are compare-and-swap: a writer passes the content that it read. If the file has changed since, the
writer reads it and decides again, so that no update is lost.
"""

import json
import random
import re
import shlex
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import NoneType

from tweetelm.files.json_file import Kind, parse_object
from tweetelm.files.names import check_name
from tweetelm.registry.store import Held, Store

ATTEMPTS = 200
VERSION = re.compile(r"\d{8}-[0-9a-f]{6,64}", re.ASCII)
_FIELDS: dict[str, Kind] = {
    "version": (str, NoneType),
    "previous": (str, NoneType),
    "metric": (float, NoneType),
}


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """The content of current.json; `metric` is the version's headline metric on validation."""

    version: str | None = None
    previous: str | None = None
    metric: float | None = None

    def to(self, version: str, metric: float | None) -> "Pointer":
        """The pointer after promoting a version. Promoting the current version keeps `previous`."""
        previous = self.previous if self.version == version else self.version
        return Pointer(version=version, previous=previous, metric=metric)


def name(task: str) -> str:
    """The path of current.json within the registry."""
    check_name(task, "task")
    return f"{task}/current.json"


def read(store: Store, task: str) -> Pointer:
    """Read the pointer; an empty pointer if no version was promoted.

    Raises:
        ValueError: the file is damaged.
    """
    return _parse(store, task, store.read(name(task)))


def move(
    store: Store, task: str, decide: Callable[[Pointer], Pointer | None], *, repair: bool = False
) -> None:
    """Replace the pointer by the result of `decide`; None leaves it unchanged.

    Args:
        store: the registry.
        task: the pointer's task.
        decide: maps the present pointer to the new one; called again if another process changed it meanwhile.
        repair: treat a damaged pointer as empty instead of raising.

    Raises:
        TimeoutError: other processes changed the pointer at every attempt.
        ValueError: the pointer is damaged, without `repair`.
    """
    for attempt in range(ATTEMPTS):
        held = store.read(name(task))
        now = _parse(store, task, held, repair)
        wanted = decide(now)
        if wanted is None or (wanted == now and now.version):
            return
        if store.swap(name(task), held, (json.dumps(asdict(wanted), indent=2) + "\n").encode()):
            return
        time.sleep(random.uniform(0, 0.01 * min(attempt, 20)))
    raise TimeoutError(
        f"{store.address(name(task))} was changed by other processes at each of {ATTEMPTS} attempts; try "
        "again when fewer processes publish"
    )


def _parse(store: Store, task: str, held: Held | None, repair: bool = False) -> Pointer:
    if held is None:
        return Pointer()
    address = store.address(name(task))
    remedy = (
        f"choose the current version with `python -m tweetelm.registry promote {task} VERSION --registry "
        f"{shlex.quote(store.url)}`"
    )
    try:
        values = parse_object(held.data, address, remedy, _FIELDS)
        for key in ("version", "previous"):
            if values[key] is not None and not VERSION.fullmatch(values[key]):
                raise ValueError(
                    f"{address} is damaged ({key} is {values[key][:80]!a}, not a version); {remedy}"
                )
    except ValueError:
        if repair:
            return Pointer()
        raise
    return Pointer(**{key: values[key] for key in _FIELDS})
