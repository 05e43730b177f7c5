"""current.json: which version of a task is served. The one file that is ever replaced.

Whoever replaces it says what it has seen there; if that is no longer so, it looks and decides again. So no
change is ever lost to one that did not know of it.
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
from tweetelm.registry.store import Held, Store
from tweetelm.tasks import TASKS

ATTEMPTS = 200
VERSION = re.compile(r"\d{8}-[0-9a-f]{6,64}", re.ASCII)
_FIELDS: dict[str, Kind] = {
    "version": (str, NoneType),
    "previous": (str, NoneType),
    "metric": (float, NoneType),
}


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """What current.json says; `metric` is the version's headline metric on validation."""

    version: str | None = None
    previous: str | None = None
    metric: float | None = None

    def to(self, version: str, metric: float | None) -> "Pointer":
        """After promoting a version; promoting the current one again keeps the previous."""
        previous = self.previous if self.version == version else self.version
        return Pointer(version=version, previous=previous, metric=metric)


def name(task: str) -> str:
    """Of the file, within the registry."""
    if task not in TASKS:
        raise ValueError(f"no task is called {task!r}; there are {', '.join(TASKS)}")
    return f"{task}/current.json"


def read(store: Store, task: str) -> Pointer:
    """What is current; an empty pointer if nothing was promoted.

    Raises:
        ValueError: the file is damaged.
    """
    return _parse(store, task, store.read(name(task)))


def move(
    store: Store, task: str, decide: Callable[[Pointer], Pointer | None], *, repair: bool = False
) -> None:
    """Replace the pointer by what `decide` makes of it; None leaves it as it is.

    Args:
        store: the registry.
        task: whose pointer.
        decide: called again whenever somebody else was faster.
        repair: take a damaged pointer for an empty one.
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
        f"{store.address(name(task))} was changed by others {ATTEMPTS} times in a row; try again when fewer "
        "publish"
    )


def _parse(store: Store, task: str, held: Held | None, repair: bool = False) -> Pointer:
    if held is None:
        return Pointer()
    place = store.address(name(task))
    remedy = (
        f"choose what to serve with `python -m tweetelm.registry promote {task} VERSION --registry "
        f"{shlex.quote(store.url)}`"
    )
    try:
        values = parse_object(held.data, place, remedy, _FIELDS)
        for key in ("version", "previous"):
            if values[key] is not None and not VERSION.fullmatch(values[key]):
                raise ValueError(f"{place} is damaged ({key} is {values[key][:80]!a}, no version); {remedy}")
    except ValueError:
        if repair:
            return Pointer()
        raise
    return Pointer(**{key: values[key] for key in _FIELDS})
