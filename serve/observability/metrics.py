"""Prometheus metrics, declared once; on Ray Serve they are also exported through Ray's metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_TOKENS = (16, 64, 256, 512, 1024, 2048, 4096, 8192)


@dataclass(frozen=True)
class Metric:
    """The declaration of one metric."""

    kind: Literal["counter", "gauge", "histogram"]
    about: str
    labels: tuple[str, ...] = ()
    buckets: Sequence[float] = ()


METRICS: Mapping[str, Metric] = {
    "tweetelm_requests_total": Metric("counter", "Responses by route and status.", ("route", "status")),
    "tweetelm_request_seconds": Metric("histogram", "Seconds per request.", ("route",), _SECONDS),
    "tweetelm_in_flight": Metric("gauge", "POST requests in flight."),
    "tweetelm_texts_total": Metric("counter", "Texts by predicted label.", ("model", "version", "label")),
    "tweetelm_tokens_total": Metric("counter", "Tokens classified.", ("model",)),
    "tweetelm_answers_total": Metric(
        "counter", "Texts by source of their answer: kept or model.", ("model", "source")
    ),
    "tweetelm_kept_answers": Metric("gauge", "Answers kept.", ("model",)),
    "tweetelm_truncated_total": Metric("counter", "Truncated texts.", ("model",)),
    "tweetelm_batch_texts": Metric("histogram", "Texts per batch.", (), _TEXTS),
    "tweetelm_batch_tokens": Metric("histogram", "Tokens per batch.", (), _TOKENS),
    "tweetelm_batch_seconds": Metric("histogram", "Seconds per batch.", (), _SECONDS),
    "tweetelm_waiting_tokens": Metric("gauge", "Tokens queued or in a batch."),
    "tweetelm_keys_unreadable": Metric("gauge", "1 while the API key file is invalid."),
    "tweetelm_serving": Metric("gauge", "1 for each served version.", ("model", "version")),
    "tweetelm_reload_failed": Metric("gauge", "1 if loading the last requested models failed."),
}  # fmt: skip


class Sink(Protocol):
    """Stores metric values. `name` is a key of METRICS; `labels` are its label values in order."""

    def add(self, name: str, value: float, labels: tuple[str, ...]) -> None: ...

    def set(self, name: str, value: float, labels: tuple[str, ...]) -> None: ...

    def observe(self, name: str, value: float, labels: tuple[str, ...]) -> None: ...


class PrometheusSink:
    """Stores metrics in this process, for `GET /metrics`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for name, metric in METRICS.items():
            if metric.kind == "counter":
                self._counters[name] = Counter(name, metric.about, metric.labels, registry=self._registry)
            elif metric.kind == "gauge":
                self._gauges[name] = Gauge(name, metric.about, metric.labels, registry=self._registry)
            else:
                self._histograms[name] = Histogram(
                    name, metric.about, metric.labels, registry=self._registry, buckets=metric.buckets
                )

    def add(self, name: str, value: float, labels: tuple[str, ...]) -> None:
        counter = self._counters[name]
        (counter.labels(*labels) if labels else counter).inc(value)

    def set(self, name: str, value: float, labels: tuple[str, ...]) -> None:
        gauge = self._gauges[name]
        (gauge.labels(*labels) if labels else gauge).set(value)

    def observe(self, name: str, value: float, labels: tuple[str, ...]) -> None:
        histogram = self._histograms[name]
        (histogram.labels(*labels) if labels else histogram).observe(value)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class Meters:
    """Records metrics in all sinks."""

    def __init__(self, *further: Sink) -> None:
        self._own = PrometheusSink()
        self._sinks: tuple[Sink, ...] = (self._own, *further)

    def add(self, name: str, value: float, *labels: str) -> None:
        for sink in self._sinks:
            sink.add(name, value, labels)

    def set(self, name: str, value: float, *labels: str) -> None:
        for sink in self._sinks:
            sink.set(name, value, labels)

    def observe(self, name: str, value: float, *labels: str) -> None:
        for sink in self._sinks:
            sink.observe(name, value, labels)

    def text(self) -> bytes:
        """Return the metrics of this process in Prometheus' text format."""
        return self._own.text()
