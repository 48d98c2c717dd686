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
from starlette.responses import Response

from llmhive.app.http import problem
from llmhive.app.http.auth import Access, Caller
from llmhive.app.http.counts import Counts
from llmhive.app.http.memory import Answer, Kept, Memory, facts_of, respond
from llmhive.app.http.problem import Problem
from llmhive.app.http.schedule import Schedule
from llmhive.app.http.threads import Threads
from llmhive.app.http.workers import Workers
from llmhive.app.library import Catalog
from llmhive.app.live import Live
from llmhive.app.settings import Settings
from llmhive.catalog.model import instant
from llmhive.catalog.view import View
from llmhive.errors import StoreError
from llmhive.store.database import Database

B = TypeVar("B", bound=BaseModel)
_STATUS_SECONDS = 5.0  #: the page that is looked at when something is wrong must not be what is missing then
_CATCH_UP_LOOKS = 100
_CATCH_UP_EVERY = 0.02  #: seconds


class Refusal(Exception):
    """A request that cannot be served; the answer is a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem


@dataclass
class Service:
    """One running service."""

    settings: Settings
    database: Database
    catalog: Catalog
    live: Live
    memory: Memory
    threads: Threads
    workers: Workers
    access: Access
    counts: Counts
    now: Callable[[], datetime]
    schedule: Schedule | None  #: None: something else posts
    last_status: dict[str, Any] | None = None  #: what was last known

    async def writer(self, request: Request) -> Caller:
        """Who asks to write; raises `Denied`."""
        return await self.threads.run(self.access.writer, request.scope)

    async def reader(self, request: Request) -> None:
        """Let a reader in; raises `Denied`."""
        if not self.access.may_read(request.scope["headers"]):
            await self.threads.run(self.access.reader, request.scope)

    async def content(self, request: Request) -> bytes:
        """The body as it came; the front bounds it. Raises `Refusal`."""
        try:
            async with asyncio.timeout(self.settings.serve_timeout_seconds):
                return await request.body()
        except TimeoutError as error:
            raise Refusal(Problem(408, "The request did not arrive in time.")) from error

    async def body(self, request: Request, shape: type[B]) -> B:
        """The body as JSON, whatever its content type says; an empty one is all defaults. Raises `Refusal`."""
        content = await self.content(request)
        try:
            return shape.model_validate_json(content) if content.strip() else shape()
        except ValidationError as error:
            faults = problem.faults(error.errors(), tuple(shape.model_fields))
            detail = f"The body cannot be used: {problem.told(faults)}."
            known = ", ".join(shape.model_fields)
            detail += f" It may hold {known}, all optional." if known else " This route takes none."
            raise Refusal(Problem(422, detail, errors=faults)) from error

    def answer(self, request: Request, document: dict[str, Any]) -> Response:
        """A read's answer, marked with the catalog's age; compressed if that is wanted, 304 if it is known."""
        kept = self.memory.newest
        return self.respond(request, kept, _answer(kept, document))

    async def kept(self, request: Request, read: Callable[[], dict[str, Any]]) -> Response:
        """As `answer`, of what is read from the database at most every `memory.FRESH` seconds while the catalog stays
        the same; `read` runs in a thread, and depends on nothing but the path and the query.
        """
        kept = self.memory.newest
        question = b"%s ?%s" % (request.scope["path"].encode(), request.scope["query_string"])
        answer = kept.known(question)
        if answer is None:
            answer = await self.threads.run(lambda: _answer(kept, read()))
            kept.keep(question, answer)
        return self.respond(request, kept, answer)

    def respond(self, request: Request, kept: Kept, answer: Answer) -> Response:
        """An answer, for who is not served by `Front`."""
        known, accepted = (request.headers.get(name, "").encode() for name in ("if-none-match", "accept-encoding"))
        status, headers, pieces = respond(answer, kept.begin(), known=known, accepted=accepted)
        return Response(b"".join(pieces), status, {name.decode(): value.decode() for name, value in headers})

    async def caught_up(self, run: dict[str, Any]) -> None:
        """Wait until reads show what a run did, so that who waited for it finds it; a moment at most."""
        version = run["catalog_version"] or 0
        await self.seen(lambda view: view.catalog_version >= version)

    async def seen(self, is_so: Callable[[View], bool]) -> None:
        """Wait until reads show something; a moment at most."""
        self.live.wake()
        for _ in range(_CATCH_UP_LOOKS):
            if self.live.view is not None and is_so(self.live.view):
                return
            await asyncio.sleep(_CATCH_UP_EVERY)

    async def status(self) -> dict[str, Any]:
        """What `GET /api/openrouter/sync/status` says; while the database is away, what was last known of it."""
        error = None
        try:
            self.last_status = await self.threads.run(self._status, seconds=_STATUS_SECONDS)
        except StoreError as trouble:
            if self.last_status is None:
                raise
            error = str(trouble)
        found = self.last_status | {
            "schedule": "external" if self.schedule is None else "embedded",
            "database_reachable": error is None,
            "database_error": error,
            "view": self.live.state(),
        }
        if error is not None:
            age = self.memory.newest.age()
            found |= {"running": None, "catalog_age_seconds": age}
        return found

    def _status(self) -> dict[str, Any]:
        found = self.catalog.status()
        if self.schedule is not None:
            now = self.now()
            found["next_scheduled_sync"] = instant(max(self.schedule.due("regular"), now))
            found["next_scheduled_research"] = instant(max(self.schedule.due("research"), now))
        return found


def _answer(kept: Kept, document: dict[str, Any]) -> Answer:
    rest = msgspec.json.encode(facts_of(kept.view) | document)[1:]
    return Answer(rest, b'W/"%s"' % hashlib.sha256(rest).hexdigest()[:24].encode())


def json(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A document as it is; never to be kept by a cache."""
    return Response(
        msgspec.json.encode(document), status, {"Cache-Control": "no-store", **(headers or {})}, "application/json"
    )
