"""Signing in and out: a token of the settings for a cookie."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse

from llmhive.app.pages.site import Answer, Asked, Moved, Page, Site

_NOT_OURS = "That is neither AUTH_TOKEN nor AUTH_READ_TOKEN of this service."
_LONGEST, _LONGEST_PATH = 8192, 2000
_SLOWED = 0.3  #: seconds that a wrong token costs who sent it


def add_to(site: Site) -> None:
    """Register the routes, which are for who may not do anything yet."""
    sessions = site.sessions

    def page(further: str, *, detail: str | None = None, status: int = 200) -> Page:
        facts = {"further": inside(further), "detail": detail, "lets_write": sessions.lets_write}
        return Page("sign_in.html", "Sign in", facts, status)

    @site.get("/sign-in", section=None, reads="memory", has_form=True, is_open=True)
    def ask(asked: Asked) -> Page:
        return page(asked.query.get("next", "/"))

    @site.post("/sign-in", section=None, is_open=True)
    async def sign_in(_: Asked, form: FormData, request: Request) -> Answer:
        given, further = str(form.get("token", "")).strip(), str(form.get("next", "/"))
        role = sessions.role_of(given) if len(given) <= _LONGEST else None
        if role is None:
            site.service.access.tell_refused(request.scope)
            await asyncio.sleep(_SLOWED)
            return page(further, detail=_NOT_OURS, status=403)
        moved = RedirectResponse(inside(further), 303, {"Cache-Control": "no-store"})
        sessions.sign_in(request, moved, role)
        return moved

    @site.post("/sign-out", section=None, is_open=True)
    async def sign_out(asked: Asked, _: FormData, request: Request) -> Answer:
        if asked.standing.role is None:
            return Moved("/")
        moved = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
        sessions.sign_out(request, moved)
        return moved


def inside(path: str) -> str:
    """An address of ours; anything else is the first page."""
    is_plain = path.startswith("/") and "\\" not in path and path.isprintable() and len(path) <= _LONGEST_PATH
    if not is_plain or path.startswith(("//", "/sign-")):
        return "/"
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    return "/" if parts.scheme or parts.netloc else path
