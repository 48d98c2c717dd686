"""Health, readiness, metrics."""

from __future__ import annotations

from fastapi import Depends, FastAPI
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from llmhive.app.http import schema
from llmhive.app.http.metrics import Numbers, own_numbers, stored_numbers
from llmhive.app.http.service import Service, json
from llmhive.errors import StoreError
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
            stored = await service.threads.run(lambda: list(stored_numbers(service)), seconds=_PATIENCE)
        except StoreError:
            # the process's own must not be missing when the database is
            stored = []
        text = generate_latest(Numbers([*stored, *own_numbers(service, is_up=bool(stored))]))
        return Response(text, 200, {"Cache-Control": "no-store"}, CONTENT_TYPE_LATEST)
