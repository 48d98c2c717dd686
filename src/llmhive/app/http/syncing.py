"""Syncs, runs and the status, under the guide's names."""

from __future__ import annotations

import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request
from starlette.responses import Response

from llmhive.app.http import schema
from llmhive.app.http.problem import Problem
from llmhive.app.http.service import Refusal, Service, json
from llmhive.app.http.workers import is_busy
from llmhive.app.worker import Task
from llmhive.catalog.run import Kind

_ROOT = "/api/openrouter/sync"
RunId = Annotated[int, Path(ge=1, le=2**62, examples=[17])]


def add_to(app: FastAPI, service: Service) -> None:
    """Register the routes."""
    _add_syncs(app, service)
    _add_runs(app, service)

    @app.get(f"{_ROOT}/status", tags=["sync"], response_model=None, dependencies=[Depends(service.reader)],
             responses={200: {"model": schema.Status}, **schema.problems(401, 503)})  # fmt: skip
    async def status() -> Response:
        """When the last sync was and how it ended, what the catalog holds, and when the next one is due."""
        return json(await service.status())


def _add_syncs(app: FastAPI, service: Service) -> None:
    codes: dict[int | str, Any] = {
        200: {"model": schema.Run, "description": "A dry run's outcome, or why none is needed (`skipped`)."},
        202: {"model": schema.Run | schema.Queued, "description": "The run, which goes on in the background."},
        **schema.problems(401, 403, 408, 409, 413, 422, 502, 503),
    }
    body = {"requestBody": body_schema(schema.Wish)}

    @app.post(_ROOT, tags=["sync"], status_code=202, response_model=None, responses=codes, openapi_extra=body)
    async def sync(request: Request) -> Response:
        """Start a sync, or join the one that runs. Answers once the run is claimed in the database."""
        return await _sync(service, request, "regular", is_blocking=_cannot_work_on(request))

    at_the_end = {status: codes[status] for status in codes if status != 202}
    at_the_end[200] = {"model": schema.Run, "description": "The finished run, or why none is needed (`skipped`)."}

    @app.post(f"{_ROOT}/blocking", tags=["sync"], response_model=None, responses=at_the_end, openapi_extra=body)
    async def sync_blocking(request: Request) -> Response:
        """Sync, or join the sync that runs, and answer when it has ended."""
        return await _sync(service, request, "regular", is_blocking=True)

    @app.post(f"{_ROOT}/research", tags=["sync"], status_code=202, response_model=None, responses=codes,
              openapi_extra=body)  # fmt: skip
    async def research(request: Request, blocking: bool = False) -> Response:
        """Start the weekly kind."""
        return await _sync(service, request, "research", is_blocking=blocking or _cannot_work_on(request))


def _add_runs(app: FastAPI, service: Service) -> None:
    reads: dict[str, Any] = {"tags": ["runs"], "response_model": None, "dependencies": [Depends(service.reader)]}

    @app.get(f"{_ROOT}/runs", **reads,
             responses={200: {"model": schema.RunList}, **schema.problems(401, 422, 503)})  # fmt: skip
    async def runs(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=1000)] = 20,
        offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
    ) -> Response:
        """The history of runs, newest first."""
        found = await service.threads.run(service.catalog.runs, limit, offset)
        total = await service.threads.run(service.catalog.count_runs)
        document = {"data": [it.to_json() for it in found], "total": total, "limit": limit, "offset": offset}
        return service.answer(request, document)

    @app.get(f"{_ROOT}/runs/{{run_id}}", **reads,
             responses={200: {"model": schema.WholeRun}, **schema.problems(401, 404, 422, 503)})  # fmt: skip
    async def run(request: Request, run_id: RunId) -> Response:
        """One run with its plan and what the gate found."""
        found = await service.threads.run(service.catalog.run, run_id)
        return service.answer(request, found.to_json())

    @app.post(f"{_ROOT}/runs/{{run_id}}/accept", tags=["runs"], response_model=None,
              responses={200: {"model": schema.Run}, **schema.problems(401, 403, 404, 408, 409, 413, 422, 503)},
              openapi_extra={"requestBody": body_schema(schema.Nothing)})  # fmt: skip
    async def accept(request: Request, run_id: RunId) -> Response:
        """Apply what the gate held in a run: the whole answer, or the single values that still wait."""
        await service.writer(request)
        await service.body(request, schema.Nothing)
        task = Task("accept", "http", run_id=run_id, **asked_by(request))
        return await ended(service, await service.workers.once(task))


async def _sync(service: Service, request: Request, kind: Kind, *, is_blocking: bool) -> Response:
    await service.writer(request)
    wish = await service.body(request, schema.Wish)
    trigger = "scheduler" if "x-cloudscheduler" in request.headers else "http"
    task = Task("sync", trigger, kind, wish.force, wish.dry_run, **asked_by(request))
    if wish.dry_run:
        return await ended(service, await service.workers.once(task), held=200)
    if is_blocking:
        return await ended(service, await service.workers.finish(task))
    begun = await service.workers.begin(task)
    if begun.run is None:
        return json({"status": "queued", "kind": kind, "waits_for": begun.waits_for}, 202)
    if begun.run["status"] == "skipped":
        return json(begun.run)
    return json(begun.run, 202, {"Location": f"{_ROOT}/runs/{begun.run['id']}"})


def asked_by(request: Request) -> dict[str, Any]:
    """What ties a run's log and trace to the request that asked for it."""
    return {"request_id": request.scope["request_id"], "trace": request.scope["trace"]}


def _cannot_work_on(request: Request) -> bool:
    """Whether a run would starve once the answer is out: Cloud Run gives CPU only while a request is answered."""
    return "K_SERVICE" in os.environ and "x-cloudscheduler" in request.headers


async def ended(service: Service, run: dict[str, Any], *, held: int = 409) -> Response:
    """A finished run as an answer, once reads show what it did; raises `Refusal` where it is a problem."""
    status = {"held": held, "failed": 502, "interrupted": 503}.get(run["status"], 200)
    if is_busy(run):
        status = 503
    if status == 200:
        await service.caught_up(run)
        return json(run)
    detail = run["error"] or (run["notes"] or ["It did not run."])[0]
    if run["status"] == "held":
        detail += f". Nothing was applied; GET {_ROOT}/runs/{run['id']} says more, POST …/accept applies it."
    raise Refusal(Problem(status, detail, {"Retry-After": "30"} if status == 503 else None, run=run))


def body_schema(shape: type[schema.Base]) -> dict[str, Any]:
    """An optional JSON body; whatever content type it says, it is read as JSON."""
    return {"required": False, "content": {"application/json": {"schema": shape.model_json_schema()}}}
