"""What the routes share: the parts of one running service, and how they read bodies and answer."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from llmhive.app.http import problem
from llmhive.app.http.auth import Access, Caller
from llmhive.app.http.counts import Counts
from llmhive.app.http.memory import Answer, Kept, Memory, facts_of, respond
from llmhive.app.http.problem import Problem
from llmhive.app.http.schedule import Schedule
from llmhive.app.http.workers import Workers
from llmhive.app.library import Catalog
from llmhive.app.live import Live
from llmhive.app.settings import Settings
from llmhive.catalog.model import instant
from llmhive.store.database import Database

B = TypeVar("B", bound=BaseModel)
_CATCH_UP_LOOKS = 100
_CATCH_UP_EVERY = 0.02  #: seconds


class Refusal(Exception):
    """A request that cannot be served; the answer is a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem


@dataclass(frozen=True)
class Service:
    """One running service."""

    settings: Settings
    database: Database
    catalog: Catalog
    live: Live
    memory: Memory
    workers: Workers
    access: Access
    counts: Counts
    now: Callable[[], datetime]
    schedule: Schedule | None  #: None: something else posts

    async def writer(self, request: Request) -> Caller:
        """Who asks to write; raises `Denied`."""
        caller = await run_in_threadpool(self.access.writer, request.scope)
        request.scope["caller"] = caller
        return caller

    async def reader(self, request: Request) -> None:
        """Let a reader in; raises `Denied`."""
        if not self.access.may_read(request.scope["headers"]):
            await run_in_threadpool(self.access.reader, request.scope)

    async def body(self, request: Request, shape: type[B]) -> B:
        """The body as JSON, whatever its content type says; an empty one is all defaults. Raises `Refusal`."""
        try:
            async with asyncio.timeout(self.settings.serve_timeout_seconds):
                content = await request.body()
        except TimeoutError as error:
            raise Refusal(Problem(408, "The request did not arrive in time.")) from error
        try:
            return shape.model_validate_json(content) if content.strip() else shape()
        except ValidationError as error:
            faults = problem.faults(error.errors(), tuple(shape.model_fields))
            detail = f"The body cannot be used: {problem.told(faults)}."
            if not shape.model_fields:
                detail += " This route takes none."
            raise Refusal(Problem(422, detail, errors=faults)) from error

    def answer(self, request: Request, document: dict[str, Any]) -> Response:
        """A read's answer, marked with the catalog's age; compressed if that is wanted, 304 if it is known."""
        kept = self.memory.newest
        rest = msgspec.json.encode(facts_of(kept.view) | document)[1:]
        etag = b'W/"%s"' % hashlib.sha256(rest).hexdigest()[:24].encode()
        return self.respond(request, kept, Answer(rest, etag))

    def respond(self, request: Request, kept: Kept, answer: Answer) -> Response:
        """An answer, for who is not served by `Front`."""
        known, accepted = (request.headers.get(name, "").encode() for name in ("if-none-match", "accept-encoding"))
        status, headers, body = respond(answer, kept.begin(), known=known, accepted=accepted)
        return Response(body, status, {name.decode(): value.decode() for name, value in headers})

    async def caught_up(self, run: dict[str, Any]) -> None:
        """Wait until reads show what a run did, so that who waited for it finds it; a moment at most."""
        self.live.wake()
        version = run["catalog_version"] or 0
        for _ in range(_CATCH_UP_LOOKS):
            if self.live.view is not None and self.live.view.catalog_version >= version:
                return
            await asyncio.sleep(_CATCH_UP_EVERY)

    def status(self) -> dict[str, Any]:
        """What `GET /api/openrouter/sync/status` says; raises `StoreError`."""
        due = {}
        if self.schedule is not None:
            now = self.now()
            due = {
                "next_scheduled_sync": instant(max(self.schedule.due("regular"), now)),
                "next_scheduled_research": instant(max(self.schedule.due("research"), now)),
            }
        return (
            self.catalog.status()
            | due
            | {
                "schedule": "external" if self.schedule is None else "embedded",
                "database_reachable": True,
                "view": self.live.state(),
            }
        )


def json(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A document as it is; never to be kept by a cache."""
    return Response(
        msgspec.json.encode(document), status, {"Cache-Control": "no-store", **(headers or {})}, "application/json"
    )
