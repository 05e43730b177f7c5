"""Answers that a replica keeps for texts that come again, apart for each model and API key."""

from array import array
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from serve.inference.batcher import Item, Outcome
from serve.observability.metrics import Meters
from tweetelm.prediction.predictions import Prediction
from tweetelm.prediction.result_cache import Known, ResultCache, key_of, packed

if TYPE_CHECKING:
    from tweetelm.encoding import Encoded
    from tweetelm.predictor import Predictor

Ask = Callable[[Sequence[Item]], Awaitable[list[Outcome]]]


@dataclass
class Kept:
    """The answers of one served model.

    Attributes:
        model: Held, so that its id is not given to another object.
        share: Capacity of each cache.
        caches: By client; the one that was used last is at the end.
        found: Texts that were answered without the model.
        asked: Texts of requests that may be answered so.
    """

    name: str
    model: "Predictor"
    share: int = 0
    caches: OrderedDict[str, ResultCache] = field(default_factory=OrderedDict)
    found: int = 0
    asked: int = 0

    @property
    def number(self) -> int:
        """Number of answers."""
        return sum(map(len, self.caches.values()))

    def cache(self, client: str, clients: int, capacity: int) -> ResultCache:
        """Return the cache of a client, whose share of `capacity` is that of each of `clients`."""
        share = max(1, capacity // clients)
        cache = self.caches.setdefault(client, ResultCache(share))
        self.caches.move_to_end(client)
        while len(self.caches) > clients:  # the keys have changed
            self.caches.popitem(last=False)
        if share != self.share:
            self.share = share
            for each in self.caches.values():
                each.resize(share)
        return cache


class AnswerStore:
    """Keeps the answers of the served models: by the hash of the token ids, without the text.

    A client gets only answers to its own questions, so response times do not tell it what others have asked.
    A client is the name of an API key. Without keys, all requests are of one client.

    Attributes:
        capacity: Maximum number of answers of one model; the clients have equal shares. 0: nothing is kept.
    """

    def __init__(
        self, capacity: int, *, clients: Callable[[], int] = lambda: 1, meters: Meters | None = None
    ) -> None:
        """Args:
        capacity: Maximum number of answers of one model.
        clients: Returns the number of clients.
        meters: Record the share of texts that were answered without the model.
        """
        self.capacity = capacity
        self._clients, self._meters = clients, meters or Meters()
        self._kept: dict[int, Kept] = {}

    def serve(self, models: "Mapping[str, Predictor]") -> None:
        """Drop the answers of all models but these."""
        before = self._kept
        self._kept = {id(model): before.get(id(model)) or Kept(name, model) for name, model in models.items()}

    async def classify(
        self, model: "Predictor", encoded: "Sequence[Encoded]", client: str | None, ask: Ask
    ) -> list[Outcome]:
        """Return the kept answers of a client, and ask for the others.

        Args:
            model: The model.
            encoded: Its texts, encoded.
            client: Whose answers to use and to keep; None for none.
            ask: Classifies texts.
        """
        kept = self._kept.get(id(model))
        if client is None or kept is None or not self.capacity:
            return await ask([Item(model, item) for item in encoded])
        cache = kept.cache(client, self._clients(), self.capacity)
        keys = [key_of(item.ids, model.precision) for item in encoded]
        known = cache.get_many(keys)
        new = [index for index, key in enumerate(keys) if key not in known]
        asked = dict(zip(new, await ask([Item(model, encoded[index], client) for index in new]), strict=True))
        cache.put_many(
            {keys[index]: packed(found) for index, found in asked.items() if isinstance(found, Prediction)}
        )
        self._count(kept, asked=len(keys), found=len(keys) - len(new))
        return [
            asked[index] if index in asked else _prediction(known[key], encoded[index])
            for index, key in enumerate(keys)
        ]

    def _count(self, kept: Kept, *, asked: int, found: int) -> None:
        kept.asked += asked
        kept.found += found
        self._meters.add("tweetelm_answers_total", asked - found, kept.name, "model")
        self._meters.add("tweetelm_answers_total", found, kept.name, "kept")
        self._meters.set("tweetelm_kept_answers", kept.number, kept.name)

    def about(self) -> dict[str, dict[str, float]]:
        """Return the capacity, the number of answers and the hit rate of each model."""
        return {
            kept.name: {
                "capacity": self.capacity,
                "kept": kept.number,
                "texts": kept.asked,
                "found": kept.found,
                "hit_rate": round(kept.found / max(1, kept.asked), 4),
            }
            for kept in self._kept.values()
        }


def _prediction(known: Known, item: "Encoded") -> Prediction:
    label, probabilities = known
    return Prediction(label, tuple(array("d", probabilities)), len(item.ids), item.truncated)
