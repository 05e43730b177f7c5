"""Results that all workers share: an actor with a bounded cache."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import ray
from ray.exceptions import RayActorError

from tweetelm.prediction.result_cache import Known, ResultCache

log = logging.getLogger(__name__)


class SharedCache:
    """The cache of a command. Workers get copies of this object, with a handle to one actor.

    While the actor cannot be reached, no result is known, and texts that come again are classified again.
    """

    def __init__(self, capacity: int) -> None:
        self._actor: Any = ray.remote(num_cpus=0, max_restarts=-1)(ResultCache).remote(capacity)

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, Known]:
        """The known results among these keys."""
        try:
            found: dict[bytes, Known] = ray.get(self._actor.get_many.remote(list(keys)))
        except RayActorError as error:
            log.warning("the cache of results cannot be reached: %s", error)
            return {}
        return found

    def put_many(self, results: Mapping[bytes, Known]) -> None:
        """Send results to the actor, without waiting."""
        self._actor.put_many.remote(dict(results))
