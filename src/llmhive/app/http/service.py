"""What the routes share: the parts of one running service, and how they read bodies and answer."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from llmhive.app.http.auth import Access, Caller
from llmhive.app.http.counts import Counts
from llmhive.app.http.memory import Answer, Memory, accepts_gzip, facts_of, is_known
from llmhive.app.http.problem import Problem
from llmhive.app.http.workers import Workers
from llmhive.app.library import Catalog
from llmhive.app.live import Live
from llmhive.app.settings import Settings
from llmhive.store.database import Database

B = TypeVar("B", bound=BaseModel)
_CATCH_UP_LOOKS, _CATCH_UP_EVERY = 100, 0.02


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
    has_schedule: bool

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
            found = [{"at": ".".join(map(str, it["loc"])), "why": it["msg"]} for it in error.errors()]
            told = "; ".join(f"{it['at']}: {it['why']}" if it["at"] else it["why"] for it in found)
            known = ", ".join(shape.model_fields)
            detail = f"The body cannot be used ({told}). It is a JSON object with {known}, all optional, or empty."
            raise Refusal(Problem(422, detail, errors=found)) from error

    def answer(self, request: Request, document: dict[str, Any]) -> Response:
        """A read's answer, marked with the catalog's age; compressed if that is wanted, 304 if it is known."""
        rest = msgspec.json.encode(document | facts_of(self.memory.view) | document)[1:]
        etag = b'W/"%s"' % hashlib.sha256(rest).hexdigest()[:24].encode()
        headers = {"ETag": etag.decode(), "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if is_known(request.headers.get("if-none-match", "").encode(), etag):
            return Response(status_code=304, headers=headers)
        begin, packed = self.memory.begin(), None
        if accepts_gzip(request.headers.get("accept-encoding", "").encode()):
            packed = Answer(rest, etag).packed(begin)
        if packed is not None:
            headers["Content-Encoding"] = "gzip"
        return Response(packed or begin + rest, 200, headers, "application/json")

    async def caught_up(self, run: dict[str, Any]) -> None:
        """Wait until reads show what a run did, so that who waited for it finds it; a moment at most."""
        self.live.wake()
        version = run["catalog_version"] or 0
        for _ in range(_CATCH_UP_LOOKS):
            if self.live.view is not None and self.live.view.catalog_version >= version:
                return
            await asyncio.sleep(_CATCH_UP_EVERY)

    def status(self) -> dict[str, Any]:
        """What `GET /api/openrouter/sync/status` says; without the database, what is known without it."""
        view, staleness = self.live.view, self.live.staleness_seconds
        return self.catalog.status() | {
            "schedule": "embedded" if self.has_schedule else "external",
            "database_reachable": True,
            "view": {
                "catalog_version": None if view is None else view.catalog_version,
                "staleness_seconds": None if staleness is None else round(staleness, 3),
            },
        }


def json(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A document as it is; never to be kept by a cache."""
    return Response(
        msgspec.json.encode(document), status, {"Cache-Control": "no-store", **(headers or {})}, "application/json"
    )
