"""Health, readiness, metrics, and the page at the root."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from fastapi import Depends, FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import HTMLResponse, Response

from llmhive.app.http import schema
from llmhive.app.http.service import Service, json
from llmhive.errors import StoreError
from llmhive.store import alerts, runs
from llmhive.version import VERSION

_PATIENCE = 5.0  #: seconds, with the database
_TEXT = {"text/plain": {"schema": {"type": "string"}}}


def add_to(app: FastAPI, service: Service) -> None:
    """Register the routes."""

    @app.get("/healthz", tags=["health"], response_model=None, responses={200: {"model": schema.Health}})
    async def healthz() -> Response:
        """Whether the process lives."""
        return json({"status": "ok", "version": VERSION})

    @app.get("/readyz", tags=["health"], response_model=None,
             responses={200: {"model": schema.Ready}, 503: {"model": schema.Ready}})  # fmt: skip
    async def readyz() -> Response:
        """Whether the process can answer reads: from memory it can, even while the database is away."""
        document = {
            "status": "starting" if service.live.view is None else "ready",
            **service.live.state(),
            "database_reachable": service.live.is_reachable,
        }
        return json(document, 503 if service.live.view is None else 200)

    @app.get(
        "/metrics",
        tags=["health"],
        response_model=None,
        dependencies=[Depends(service.reader)],
        responses={200: {"content": _TEXT, "description": "The metrics, as text."}, **schema.problems(401)},
    )
    async def metrics() -> Response:  # fmt: skip
        """The metrics for Prometheus; those of the catalog and its runs are read from the database."""
        try:
            stored = await service.in_thread(lambda: list(stored_numbers(service)), seconds=_PATIENCE)
        except StoreError:
            # the process's own must not be missing when the database is
            stored = []
        text = generate_latest(Numbers([*stored, *own_numbers(service, is_up=bool(stored))]))
        return Response(text, 200, {"Cache-Control": "no-store"}, CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False, response_model=None, dependencies=[Depends(service.reader)])
    async def root() -> Response:
        """What this is, and where to go on."""
        try:
            found: dict[str, Any] | None = await service.status()
        except StoreError:
            found = None
        return HTMLResponse(page(service, found), headers=_PAGE)


#: Metric → what it means; those of Prometheus's own making (``_total``, ``_bucket`` …) by their family's name.
METRICS = {
    "openrouter_sync_duration": "Seconds the last regular run took.",
    "openrouter_models_total": "Active models.",
    "openrouter_models_added": "New models of the last regular run.",
    "openrouter_sync_errors": "Failed runs there were (a gauge holding the count).",
    "openrouter_sync_runs": "Runs there were, by `kind` and `outcome`.",
    "openrouter_sync_running": "1 while a run of the `kind` is running.",
    "openrouter_sync_last_success_timestamp_seconds": "When a run of the `kind` last did its work.",
    "openrouter_catalog_age_seconds": "Since OpenRouter last said so.",
    "openrouter_catalog_version": "Rises with every change.",
    "openrouter_catalog_source": "1 for the `source` in force, openrouter or bootstrap.",
    "openrouter_held_runs": "1 while a held answer waits.",
    "openrouter_held_values": "Models with a held value.",
    "openrouter_pinned": "1 while the catalog is pinned.",
    "openrouter_alerts_pending": "Messages that are not delivered yet.",
    "openrouter_alerts_given_up": "Messages that could not be delivered.",
    "llmhive_database_up": "1 while the database answers this process.",
    "llmhive_http_requests": "Answers of this process, by `route`, `method` and `status`; it ends with `_total`.",
    "llmhive_http_request_seconds": "A histogram by `route` of the time to answer what is not answered from memory.",
    "llmhive_view_version": "The catalog version this process answers from.",
    "llmhive_view_staleness_seconds": "How old that may be at most.",
    "llmhive_build": "The running program's `version`; it ends with `_info`.",
}


class Numbers(CollectorRegistry):
    """Metrics that were collected already."""

    def __init__(self, found: Sequence[Metric]) -> None:
        super().__init__()
        self._found = found

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        return iter(self._found)


def own_numbers(service: Service, *, is_up: bool) -> Iterator[Metric]:
    """The metrics of this process; `is_up`: whether the database answered just now."""
    yield _gauge("llmhive_database_up", is_up)
    yield from service.counts.collect()
    view, staleness = service.live.view, service.live.staleness_seconds
    if view is not None and staleness is not None:
        yield _gauge("llmhive_view_version", view.catalog_version)
        yield _gauge("llmhive_view_staleness_seconds", staleness)
    yield InfoMetricFamily("llmhive_build", METRICS["llmhive_build"], value={"version": VERSION})


def stored_numbers(service: Service) -> Iterator[Metric]:
    """The metrics of the catalog and its runs; raises `StoreError`."""
    status = service.catalog.status()
    yield _gauge("openrouter_models_total", status["models_in_catalog"])
    yield _gauge("openrouter_catalog_version", status["catalog_version"])
    yield _gauge("openrouter_held_runs", status["held"])
    yield _gauge("openrouter_held_values", status["held_values"])
    yield _gauge("openrouter_pinned", status["pinned"] is not None)
    yield _gauge("openrouter_alerts_pending", status["alerts_pending"])
    if status["catalog_age_seconds"] is not None:
        yield _gauge("openrouter_catalog_age_seconds", status["catalog_age_seconds"])
    source = _labelled("openrouter_catalog_source", "source")
    for name in ("openrouter", "bootstrap"):
        source.add_metric([name], status["source"] == name)
    yield source
    yield from _of_runs(service)


def _of_runs(service: Service) -> Iterator[Metric]:
    if not service.database.require_schema():
        return
    with service.database.read() as connection:
        tally = runs.tally(connection)
        last = runs.last_finished(connection, "regular")
        success = {kind: runs.last_success(connection, kind) for kind in ("regular", "research")}
        running = runs.running(connection)
        given_up = alerts.given_up(connection)
    yield _gauge("openrouter_alerts_given_up", given_up)
    counted = _labelled("openrouter_sync_runs", "kind", "outcome")
    for kind, outcome, count in tally:
        counted.add_metric([kind, outcome], count)
    yield counted
    failed = sum(count for _, outcome, count in tally if outcome == "failed")
    yield _gauge("openrouter_sync_errors", failed)
    going = _labelled("openrouter_sync_running", "kind")
    times = _labelled("openrouter_sync_last_success_timestamp_seconds", "kind")
    for kind, run in success.items():
        going.add_metric([kind], running is not None and running.kind == kind)
        if run is not None and run.finished_at is not None:
            times.add_metric([kind], run.finished_at.timestamp())
    yield going
    yield times
    if last is not None:
        yield _gauge("openrouter_models_added", last.added)
        if last.duration_seconds is not None:
            yield _gauge("openrouter_sync_duration", last.duration_seconds)


def _gauge(name: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, METRICS[name], value=float(value))


def _labelled(name: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, METRICS[name], labels=labels)


_PAGE = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
_SAYS = {
    None: "The catalog is empty: nothing has been synced yet.",
    "bootstrap": "This is the bootstrap catalog shipped with LLMHive. Nothing has been synced from OpenRouter yet.",
    "openrouter": "From OpenRouter.",
}
_LINKS = (
    ("/api/models?limit=20&sort=newest", "the newest models"),
    ("/api/models", "all models"),
    ("/api/models/families", "families"),
    ("/api/changes?since=2026-01-01", "what changed"),
    ("/api/openrouter/sync/status", "status"),
    ("/api/openrouter/sync/runs", "runs"),
    ("/metrics", "metrics"),
    ("/openapi.json", "OpenAPI document"),
)


def page(service: Service, status: dict[str, Any] | None) -> str:
    """The page at the root; without a status, the database does not answer."""
    view = service.memory.newest.view
    age = None if status is None else status["catalog_age_seconds"]
    rows = [
        ("Catalog", _SAYS[view.source]),
        ("Models", f"{sum(entry.is_active for entry in view.entries)} active, {len(view.entries)} known"),
        ("As of", None if view.as_of is None else f"{view.as_of:%Y-%m-%d %H:%M} UTC"),
        ("Age", None if age is None else str(timedelta(seconds=int(age)))),
        ("Version", str(view.catalog_version)),
        ("Pinned", view.pinned and f"to the snapshot {view.pinned}"),
    ]
    if status is None:
        rows.append(("Database", "It does not answer. Reads are answered from memory."))
    else:
        rows += [
            ("Last sync", status["last_sync_time"] and f"{status['last_sync_status']}, {status['last_sync_time']}"),
            ("Last error", status["last_error"]),
            ("Next sync", f"{status['next_scheduled_sync']}, {status['schedule']} schedule"),
        ]
    facts = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in rows if text)
    links = "".join(f'<li><a href="{html.escape(path)}">{html.escape(text)}</a></li>' for path, text in _LINKS)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>LLMHive</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"></head><body><main><h1>LLMHive</h1>'
        f"<p>A copy of the OpenRouter model catalog.</p><dl>{facts}</dl><h2>Ask it</h2><ul>{links}</ul></main></body>"
        "</html>"
    )
