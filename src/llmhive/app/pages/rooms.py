"""All pages of a service, and what is said where there is none."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from llmhive.app.http.service import Service
from llmhive.app.pages import catalog, changes, charts, compare, model, operations, rankings, select, signing
from llmhive.app.pages.site import Site, is_person

_ROOMS = (catalog, model, rankings, compare, changes, select, operations, charts, signing)


def add_to(app: FastAPI, service: Service) -> None:
    """Add the pages to a service's routes."""
    site = Site(app, service)
    for room in _ROOMS:
        room.add_to(site)
    site.assets.add_to(app)
    _add_missing(app, site)


def _add_missing(app: FastAPI, site: Site) -> None:
    """People who follow a wrong link get a page; programs get a problem, as before."""
    of_programs: Any = app.exception_handlers[HTTPException]

    @app.exception_handler(HTTPException)
    async def missing(request: Request, error: HTTPException) -> Response:
        is_ours = is_person(request) and not request.url.path.startswith("/api/")
        if error.status_code not in {404, 405} or not is_ours:
            response: Response = await of_programs(request, error)
            return response
        standing = await site.standing(request)
        if not standing.can_read:
            return site.turn_away(request)
        return site.tell(
            request, error.status_code, f"There is no page at {request.url.path[:200]}.", site.asked(request, standing)
        )
