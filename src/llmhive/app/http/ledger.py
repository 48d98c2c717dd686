"""Snapshots, rollback and the pin: the routes that go back."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, Request
from starlette.responses import Response

from llmhive.app import wiring
from llmhive.app.http import schema
from llmhive.app.http.service import Service, json
from llmhive.app.http.syncing import asked_by, body_schema, ended
from llmhive.app.openrouter import rollback as ledger
from llmhive.app.worker import Task
from llmhive.catalog.run import Run
from llmhive.store.snapshots import Snapshot


def add_to(app: FastAPI, service: Service) -> None:
    """Register the routes."""

    @app.post("/api/snapshots", tags=["history"], status_code=201, response_model=None,
              responses={201: {"model": schema.Snapshot},
                         **schema.problems(400, 401, 403, 408, 409, 413, 422, 503)},
              openapi_extra={"requestBody": body_schema(schema.SnapshotWish)})  # fmt: skip
    async def take(request: Request) -> Response:
        """Keep what is believed now under a name."""
        await service.writer(request)
        wish = await service.body(request, schema.SnapshotWish)
        return json((await keep(service, wish.name, wish.note)).to_json(), 201)

    @app.post("/api/snapshots/{name}/rollback", tags=["history"], response_model=None,
              responses={200: {"model": schema.Run}, **schema.problems(401, 403, 404, 408, 409, 413, 422, 503)},
              openapi_extra={"requestBody": body_schema(schema.RollbackWish)})  # fmt: skip
    async def rollback(request: Request, name: Annotated[str, Path(examples=["before-upgrade"])]) -> Response:
        """Believe a snapshot again, exactly as it was; what was believed is kept as the snapshot before-run-N."""
        await service.writer(request)
        wish = await service.body(request, schema.RollbackWish)
        task = Task(
            "rollback", "http", dry_run=wish.dry_run, snapshot=name, pin=wish.pin,
            **asked_by(request),
        )  # fmt: skip
        return await ended(service, await service.workers.once(task))

    @app.delete("/api/pin", tags=["history"], response_model=None,
                responses={200: {"model": schema.Unpinned}, **schema.problems(401, 403, 503)})  # fmt: skip
    async def unpin(request: Request) -> Response:
        """Let syncs change the catalog again; the next one catches up."""
        await service.writer(request)
        return json({"was_pinned_to": await let_go(service)})


# --- what the pages do as well


async def keep(service: Service, name: str | None, note: str | None) -> Snapshot:
    """Keep what is believed now as a snapshot; raises `UsageError` and `Conflict`."""
    return await service.threads.run(ledger.snapshot, service.database, name, at=service.now(), note=note)


async def let_go(service: Service) -> str | None:
    """Unpin the catalog, and wait until reads show it; the snapshot that it was pinned to, if any."""
    was_pinned_to = await service.threads.run(ledger.unpin, service.database)
    await service.seen(lambda view: view.pinned is None)
    return was_pinned_to


async def rehearse(service: Service, name: str, *, pin: bool) -> Run:
    """What a rollback would change; nothing is written. Raises `NotFound` and `Conflict`."""
    runner = wiring.runner(service.settings, service.database, _silent)
    return await service.threads.run(ledger.rollback, runner, name, trigger="http", pin=pin, dry_run=True)


def _silent(_event: str, /, **_facts: object) -> None:
    pass
