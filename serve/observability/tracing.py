"""Exports Ray Serve's spans to an OpenTelemetry collector, if one is configured."""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def exporter() -> list[SpanProcessor]:
    """Return the span processors; set
    RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH=serve.observability.tracing:exporter.

    Endpoint and headers are read from OpenTelemetry's variables, such as `OTEL_EXPORTER_OTLP_ENDPOINT`.
    """
    return [BatchSpanProcessor(OTLPSpanExporter())]
