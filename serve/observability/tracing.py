"""Traces to an OpenTelemetry collector, where one is configured: Ray Serve makes the spans."""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def exporter() -> list[SpanProcessor]:
    """The processor that `RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH=serve.observability.tracing:exporter` names.

    Endpoint and headers come from OpenTelemetry's own variables: `OTEL_EXPORTER_OTLP_ENDPOINT` and the rest.
    """
    return [BatchSpanProcessor(OTLPSpanExporter())]
