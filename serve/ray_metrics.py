"""Our metrics as Ray's own: each node tells Prometheus those of all replicas on it, as `ray_tweetelm_…`."""

import asyncio
from collections import defaultdict

from ray.util.metrics import Counter, Gauge, Histogram

from serve.metrics import METRICS

TELL_EVERY_S = 1.0  # Ray passes them on less often
_Key = tuple[str, tuple[str, ...]]


class RaySink:
    """A `serve.metrics.Sink`. Made inside a replica, whose name is added to every number.

    A call of Ray's costs more than most of what a request does here, so Ray is told every second of what came
    together.
    """

    def __init__(self, replica: str) -> None:
        self._own = {"replica": replica}
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._added: defaultdict[_Key, float] = defaultdict(float)
        self._last: dict[_Key, float] = {}
        self._seen: defaultdict[_Key, list[float]] = defaultdict(list)
        for name, metric in METRICS.items():
            keys = (*metric.labels, "replica")
            if metric.kind == "counter":
                self._counters[name] = Counter(name, metric.about, tag_keys=keys)
            elif metric.kind == "gauge":
                self._gauges[name] = Gauge(name, metric.about, tag_keys=keys)
            else:
                self._histograms[name] = Histogram(
                    name, metric.about, boundaries=list(metric.buckets), tag_keys=keys
                )

    def add(self, name: str, value: float, labels: tuple[str, ...]) -> None:
        self._added[name, labels] += value

    def set(self, name: str, value: float, labels: tuple[str, ...]) -> None:
        self._last[name, labels] = value

    def observe(self, name: str, value: float, labels: tuple[str, ...]) -> None:
        self._seen[name, labels].append(value)

    async def tell_forever(self) -> None:
        """Tell Ray, every second."""
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            self.tell()

    def tell(self) -> None:
        """Tell Ray what came together since the last time."""
        added, last, seen = self._added.copy(), self._last.copy(), self._seen.copy()
        for kept in (self._added, self._last, self._seen):
            kept.clear()
        for (name, labels), value in added.items():
            if value:
                self._counters[name].inc(value, self._tags(name, labels))
        for (name, labels), value in last.items():
            self._gauges[name].set(value, self._tags(name, labels))
        for (name, labels), values in seen.items():
            tags = self._tags(name, labels)
            for value in values:
                self._histograms[name].observe(value, tags)

    def _tags(self, name: str, labels: tuple[str, ...]) -> dict[str, str]:
        return self._own | dict(zip(METRICS[name].labels, labels, strict=True))
