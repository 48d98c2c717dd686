"""The metrics: those of the catalog and its runs from the database, the others of this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from llmhive.app.http.service import Service
from llmhive.store import alerts, runs
from llmhive.version import VERSION

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
