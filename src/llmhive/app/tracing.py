"""OpenTelemetry traces, where an exporter is configured (OTEL_EXPORTER_OTLP_ENDPOINT and its like); else nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llmhive.app.observe import Tell
from llmhive.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Span:
    """A span that is going on; without tracing, one that is none."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def set(self, attributes: Mapping[str, str | int | None]) -> None:
        """Say more of it, by OpenTelemetry's names where it has one."""
        if self._span is not None:
            self._span.set_attributes({name: value for name, value in attributes.items() if value is not None})

    def fail(self, why: str) -> None:
        """Mark it as failed."""
        if self._span is not None:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_status(Status(StatusCode.ERROR, why))

    @property
    def parent(self) -> str | None:
        """Its ``traceparent``, for what another process does of it."""
        if self._span is None:
            return None
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


class Tracing:
    """Makes spans and sends them."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider

    @contextmanager
    def span(self, name: str, *, parent: str | None = None, is_server: bool = False) -> Iterator[Span]:
        """A span around what is done within; `parent` is a ``traceparent``."""
        if self._provider is None:
            yield Span()
            return
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = TraceContextTextMapPropagator().extract({"traceparent": parent} if parent else {})
        kind = SpanKind.SERVER if is_server else SpanKind.INTERNAL
        tracer = self._provider.get_tracer("llmhive", VERSION)
        # what went wrong is told by `fail`: an exception's own text may hold anything
        with tracer.start_as_current_span(
            name, context, kind, record_exception=False, set_status_on_exception=False
        ) as span:
            yield Span(span)

    def close(self) -> None:
        """Send what was not sent yet."""
        if self._provider is not None:
            self._provider.shutdown()


def tracing(tell: Tell, environ: Mapping[str, str] | None = None) -> Tracing:
    """Traces as the environment says; its variables are OpenTelemetry's own."""
    given = os.environ if environ is None else environ
    if not any(given.get(name) for name in _ENDPOINTS) or given.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        tell(
            "Tracing is off", why="an exporter is configured, but the packages are missing: pip install 'llmhive[otel]'"
        )
        return Tracing()
    about = {SERVICE_NAME: given.get("OTEL_SERVICE_NAME") or "llmhive", SERVICE_VERSION: VERSION}
    provider = TracerProvider(resource=Resource.create(about))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)
