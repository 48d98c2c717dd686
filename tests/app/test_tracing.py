"""Traces, as a collector gets them: a real service, a real HTTP server that takes OTLP."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llmhive.app.tracing import tracing
from tests.fake_openrouter import catalog, model, ok
from tests.serving import place, serving

TOKEN = "a-token-that-must-not-be-told"
TRACE = "0123456789abcdef0123456789abcdef"


@dataclass
class Collector:
    """What was sent."""

    url: str
    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Any]:
        """Every span."""
        sent = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span for it in sent for found in it.resource_spans for scope in found.scope_spans for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A server that takes traces."""
    found = Collector("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            found.bodies.append(body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def attributes(span: Any) -> dict[str, Any]:
    """A span's attributes."""
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in span.attributes}


def test_a_request_and_its_run_are_one_trace(collector: Collector, tmp_path: Path) -> None:
    with place("sqlite", tmp_path) as here:
        here.fake.serve(ok(catalog(model("acme/one"))))
        with serving(here.llmhive, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, AUTH_TOKEN=TOKEN) as served:
            answer = served.client.post(
                "/api/openrouter/sync/blocking",
                headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "Authorization": f"Bearer {TOKEN}"},
            )
            assert answer.json()["status"] == "completed"
            assert answer.headers["x-request-id"] == TRACE
            served.get("/api/models/acme/one")
    [request] = [span for span in collector.spans if span.name == "POST"]
    [run] = [span for span in collector.spans if span.name == "run sync"]
    assert request.trace_id == run.trace_id == bytes.fromhex(TRACE)
    assert run.parent_span_id == request.span_id
    assert request.parent_span_id == bytes.fromhex("00f067aa0ba902b7")
    assert attributes(request)["http.route"] == "/api/openrouter/sync/blocking"
    assert attributes(request)["http.response.status_code"] == 200
    assert attributes(run) == {
        "llmhive.run.id": answer.json()["id"], "llmhive.run.kind": "regular", "llmhive.run.status": "completed",
    }  # fmt: skip
    assert not any(span.name == "GET" for span in collector.spans)
    assert TOKEN.encode() not in b"".join(collector.bodies)


def silent(_event: str, /, **_facts: object) -> None:
    """Say nothing."""


def test_without_an_exporter_there_is_nothing() -> None:
    found = tracing(silent, {})
    with found.span("anything") as span:
        span.set({"http.route": "/"})
        span.fail("no")
        assert span.parent is None
    found.close()


def test_it_can_be_switched_off(collector: Collector) -> None:
    found = tracing(silent, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SDK_DISABLED": "true"})
    with found.span("anything") as span:
        assert span.parent is None
