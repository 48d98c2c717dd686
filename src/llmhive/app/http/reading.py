"""Reads: models, families, history, changes, snapshots."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response

from llmhive.app.http import parameters, schema
from llmhive.app.http.parameters import BadParameter
from llmhive.app.http.problem import Problem
from llmhive.app.http.service import Refusal, Service
from llmhive.errors import NotFound

Offset = Annotated[int, Query(ge=0, le=2**53)]
Limit = Annotated[int | None, Query(ge=1, le=2**53, description="at most so many; without it: all")]


def add_to(app: FastAPI, service: Service) -> None:
    """Register the routes. Those of `/api/models` are answered from memory by `Front`, before they come here, unless
    they need the database or a slower look at the credential.
    """
    _add_models(app, service)
    _add_history(app, service)


def _add_models(app: FastAPI, service: Service) -> None:
    reads: dict[str, Any] = {"tags": ["models"], "response_model": None, "dependencies": [Depends(service.reader)]}

    @app.get("/api/models", **reads, openapi_extra={"parameters": parameters.openapi()},
             responses={200: {"model": schema.ModelList}, **schema.problems(400, 401, 422, 503)})  # fmt: skip
    async def models(request: Request) -> Response:
        """The models that meet all conditions, now or at any past instant; unknown values meet no limit."""
        query_string = request.scope["query_string"]
        try:
            kept = service.memory.newest
            answer = kept.models(query_string)
            if answer is not None:
                return service.respond(request, kept, answer)
            asked = parameters.read(query_string)
        except BadParameter as error:
            raise Refusal(Problem(422, str(error), parameter=error.name)) from error
        page = await service.threads.run(
            service.catalog.models, asked.query, as_of=asked.as_of, known_at=asked.known_at
        )  # fmt: skip
        document = page.to_json() | {"limit": asked.query.limit, "offset": asked.query.offset}
        return await service.threads.run(service.answer, request, document)

    @app.get("/api/models/families", **reads,
             responses={200: {"model": schema.FamilyList}, **schema.problems(401)})  # fmt: skip
    async def families(request: Request) -> Response:
        """The families by name, each with its models, the newest first."""
        kept = service.memory.newest
        return service.respond(request, kept, kept.families())

    @app.get("/api/models/{id:path}/history", **reads,
             responses={200: {"model": schema.History}, **schema.problems(401, 404, 503)})  # fmt: skip
    async def history(request: Request, id: str) -> Response:
        """Every change of a model, and its prices over time."""
        return service.answer(request, await service.threads.run(service.catalog.history, id))

    @app.get("/api/models/{id:path}", **reads,
             responses={200: {"model": schema.Model}, **schema.problems(401, 404)})  # fmt: skip
    async def model(request: Request, id: str) -> Response:
        """One model, active or not, by its id (`/`, `:` and `~` raw or percent-encoded) or its canonical slug."""
        kept = service.memory.newest
        answer = kept.model(id)
        if answer is None:
            raise NotFound(await service.threads.run(kept.view.names.why_missing, id[:200]))
        return service.respond(request, kept, answer)


def _add_history(app: FastAPI, service: Service) -> None:
    reads: dict[str, Any] = {"tags": ["history"], "response_model": None, "dependencies": [Depends(service.reader)]}

    @app.get("/api/changes", **reads,
             responses={200: {"model": schema.ChangeList}, **schema.problems(401, 422, 503)})  # fmt: skip
    async def changes(
        request: Request,
        since: Annotated[
            str | None,
            Query(
                description="from this day or instant (ISO 8601, UTC); without it: 7 days ago", examples=["2026-11-01"]
            ),
        ] = None,
        until: Annotated[str | None, Query(description="until this instant, excluded")] = None,
        limit: Limit = None,
        offset: Offset = 0,
    ) -> Response:
        """What happened at OpenRouter, newest first, once each, only what a second capture confirmed."""
        begin = service.now() - timedelta(days=7) if since is None else instant_of("since", since)
        found = await service.threads.run(
            service.catalog.changes, begin, None if until is None else instant_of("until", until)
        )
        end = None if limit is None else offset + limit
        document: dict[str, Any] = {"data": found[offset:end], "total": len(found), "limit": limit, "offset": offset}
        return service.answer(request, document)

    @app.get("/api/snapshots", **reads,
             responses={200: {"model": schema.SnapshotList}, **schema.problems(401, 503)})  # fmt: skip
    async def snapshots(request: Request) -> Response:
        """The snapshots, newest first."""
        found = await service.threads.run(service.catalog.snapshots)
        return service.answer(request, {"data": found, "total": len(found)})


def instant_of(name: str, value: str) -> datetime:
    """The value of a parameter that is an instant; raises `Refusal`."""
    try:
        return parameters.instant(value)
    except ValueError as error:
        raise Refusal(Problem(422, f"{name}: {error}; not {value[:60]!r}", parameter=name)) from error
