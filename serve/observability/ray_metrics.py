"""Exports the metrics through Ray: each node exposes those of its replicas as `ray_tweetelm_…`."""

from ray.util.metrics import Counter, Gauge, Histogram

from serve.observability.metrics import METRICS


class RaySink:
    """A `serve.observability.metrics.Sink` inside a replica; adds the replica's name as a tag."""

    def __init__(self, replica: str) -> None:
        self._own = {"replica": replica}
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
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

    def _tags(self, name: str, labels: tuple[str, ...]) -> dict[str, str]:
        return self._own | dict(zip(METRICS[name].labels, labels, strict=True))

    def add(self, name: str, value: float, labels: tuple[str, ...]) -> None:
        if value:
            self._counters[name].inc(value, self._tags(name, labels))

    def set(self, name: str, value: float, labels: tuple[str, ...]) -> None:
        self._gauges[name].set(value, self._tags(name, labels))

    def observe(self, name: str, value: float, labels: tuple[str, ...]) -> None:
        self._histograms[name].observe(value, self._tags(name, labels))
