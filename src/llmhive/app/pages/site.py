"""How a page is asked for, answered and refused. Start reading here; then `rooms.py`, and the room of a page.

A room says with `Site.get` what it shows at an address: a function of what was `Asked`, which runs in a thread and
returns a `Page` (a template and its facts), something `Sent` as it is, or where one is `Moved` to. What changes
something is said with `Site.post`; it is called only for who may write, from a form of ours.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import jinja2
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from llmhive.app.http import problem
from llmhive.app.http.auth import REFUSED, Denied
from llmhive.app.http.memory import accepts_gzip, is_known
from llmhive.app.http.service import Refusal, Service
from llmhive.app.library import Catalog
from llmhive.app.pages import addresses, words
from llmhive.app.pages.assets import Assets
from llmhive.app.pages.session import Sessions, Standing, scheme_of
from llmhive.catalog.view import View
from llmhive.errors import DatabaseUnavailable, LLMHiveError, NotFound, StoreError, UsageError
from llmhive.version import VERSION

T = TypeVar("T")
#: plotly adds style elements without a text, and fills them by script: that, and no text, is allowed inline
_NO_TEXT = base64.b64encode(hashlib.sha256(b"").digest()).decode()
POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' 'sha256-{_NO_TEXT}'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
#: Sections of the navigation: its address, its name.
SECTIONS = {
    "catalog": ("/", "Catalog"),
    "rankings": ("/rankings", "Rankings"),
    "compare": ("/compare", "Compare"),
    "changes": ("/changes", "Changes"),
    "select": ("/select", "Select"),
    "operations": ("/operations", "Operations"),
}
_WORTH_PACKING = 1000  #: bytes
_AT_ONCE = 4  #: pages that are made from memory
_LEVEL = 5  #: of gzip: more takes longer than it saves on the way
_MOST_FIELDS = 64
#: What went wrong, to people.
_WRONG = {
    401: "Sign in first", 403: "That is not allowed", 404: "Not found", 405: "That cannot be done here",
    409: "That cannot be done now", 413: "That is too much", 415: "That cannot be read", 422: "That cannot be read",
    429: "Too many requests", 502: "OpenRouter gave no usable answer",
}  # fmt: skip
_SIGN_IN = "Only who may write can do that. Sign in with AUTH_TOKEN first."


@dataclass(frozen=True)
class Asked:
    """What is asked for, by whom, and what it is answered from."""

    catalog: Catalog
    view: View
    query: QueryParams
    path: Mapping[str, str]
    now: datetime
    base: str  #: scheme and host
    standing: Standing
    is_away: bool = False  #: whether the database did not answer when it was last looked at

    @property
    def can_write(self) -> bool:
        """Whether actions would be accepted."""
        return self.standing.can_write


@dataclass(frozen=True)
class Page:
    """A template with what it shows."""

    template: str
    title: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class Sent:
    """Bytes as they are."""

    content: bytes
    media_type: str
    file_name: str | None = None  #: of a download


@dataclass(frozen=True)
class Moved:
    """Go on there."""

    to: str


Answer = Page | Sent | Moved | Response
#: What a page cannot do without: the database, memory alone, or neither: it shows less without the database.
Reads = Literal["database", "memory", "either"]
Read = Callable[[Asked], Answer] | Callable[[Asked], Awaitable[Answer]]
Write = Callable[[Asked, FormData, Request], Awaitable[Answer]]


class _Shown(NamedTuple):
    """How a page is read."""

    section: str | None
    reads: Reads
    has_form: bool
    is_open: bool


class _Route(Route):
    """A route that the counts know by its pattern, as they know FastAPI's."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, more = super().matches(scope)
        return match, {**more, "route": self}


class Site:
    """The pages of one service."""

    def __init__(self, app: FastAPI, service: Service) -> None:
        self.service = service
        self.sessions = Sessions(service.settings, service.access, now=service.now)
        self.assets = Assets()
        self._app = app
        self._limiter = CapacityLimiter(_AT_ONCE)
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("llmhive.app.pages"), autoescape=True, undefined=jinja2.StrictUndefined,
            trim_blocks=True, lstrip_blocks=True, auto_reload=False,
        )  # fmt: skip
        self._templates.filters.update(words.FILTERS)
        self._templates.globals.update(
            words.GLOBALS, asset=self.assets.url, sections=SECTIONS, version=VERSION, may_sign_in=self.sessions.is_open
        )

    def get(
        self,
        path: str,
        *,
        section: str | None,
        reads: Reads = "database",
        has_form: bool = False,
        is_open: bool = False,
    ) -> Callable[[Read], Read]:
        """Say what is read at an address: in a thread, unless it is a coroutine function. `has_form`: it has forms that
        write, so no cache may keep it; `is_open`: also by who may not read the catalog.
        """
        shown = _Shown(section, reads, has_form, is_open)

        def register(read: Read) -> Read:
            async def answer(request: Request) -> Response:
                return await self._get(request, read, shown)

            self._app.router.routes.append(_Route(path, answer, methods=["GET"], include_in_schema=False))
            return read

        return register

    def post(self, path: str, *, section: str | None = "operations", is_open: bool = False) -> Callable[[Write], Write]:
        """Say what a form of ours does at an address; it is called for who may write, with `is_open` for anybody."""

        def register(write: Write) -> Write:
            async def answer(request: Request) -> Response:
                return await self._post(request, write, section, is_open=is_open)

            self._app.router.routes.append(_Route(path, answer, methods=["POST"], include_in_schema=False))
            return write

        return register

    def asked(self, request: Request, standing: Standing) -> Asked:
        """What a request asks for."""
        view = self.service.memory.newest.view
        return Asked(
            self.service.catalog, view, request.query_params, request.path_params, self.service.now(),
            f"{scheme_of(request)}://{request.url.netloc}", standing, not self.service.live.is_reachable,
        )  # fmt: skip

    def render(self, page: Page, asked: Asked, section: str | None) -> str:
        """A page as HTML."""
        return self._templates.get_template(page.template).render(
            page.facts, title=page.title, section=section, asked=asked, notes=self._notes(asked), now=asked.now
        )

    def template(self, name: str) -> jinja2.Template:
        """A template by its name."""
        return self._templates.get_template(name)

    # --- answering

    async def _get(self, request: Request, read: Read, shown: _Shown) -> Response:
        asked = self.asked(request, await self.standing(request))
        if not (asked.standing.can_read or shown.is_open):
            return self.turn_away(request)

        def finish(answer: Answer) -> Response:
            return self.finish(answer, request, asked, shown.section, has_form=shown.has_form)

        def show() -> Response:
            with asked.catalog.together() if shown.reads != "memory" else nullcontext():
                return finish(read(asked))  # type: ignore[arg-type]

        try:
            if inspect.iscoroutinefunction(read):
                return await self._from_memory(finish, await read(asked))
            if shown.reads == "memory":
                return await self._from_memory(show)
            if shown.reads == "database" and asked.is_away:
                # nobody waits for what is known to be away
                raise DatabaseUnavailable("The database does not answer.")
            return await self.service.threads.run(show)
        except (LLMHiveError, Refusal, Denied) as error:
            return await self._from_memory(self.refuse, request, error, asked)

    async def standing(self, request: Request) -> Standing:
        """What who asks may do."""
        if "authorization" in request.headers:
            # keys may have to be fetched
            return await self.service.threads.run(self.sessions.standing, request)
        return self.sessions.standing(request)

    async def _from_memory(self, do: Callable[..., Response], *args: Any) -> Response:
        """Do what waits for nothing, in threads of its own: all others may wait for the database."""
        return await to_thread.run_sync(do, *args, limiter=self._limiter)

    async def _post(self, request: Request, write: Write, section: str | None, *, is_open: bool) -> Response:
        asked = self.asked(request, standing := await self.standing(request))
        try:
            self.sessions.check_origin(request)
            form = await self._form(request)
            self.sessions.check_form(request, form)
            if not (standing.can_write or is_open):
                raise Denied(403, _SIGN_IN)
            answer = await write(asked, form, request)
            return await self._from_memory(lambda: self.finish(answer, request, asked, section, has_form=True))
        except (LLMHiveError, Refusal, Denied) as error:
            return await self._from_memory(self.refuse, request, error, asked)

    async def _form(self, request: Request) -> FormData:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise Refusal(problem.Problem(415, "This address takes a form of these pages. Programs use the API."))
        text = (await self.service.content(request)).decode("ascii", "replace")
        try:
            fields = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError as error:
            raise UsageError(f"The form has more than {_MOST_FIELDS} fields.") from error
        return FormData([*fields])

    def finish(
        self, answer: Answer, request: Request, asked: Asked, section: str | None, *, has_form: bool = False
    ) -> Response:
        """An answer as a response, in the frame of the pages."""
        if isinstance(answer, Moved):
            return RedirectResponse(answer.to, 303, {**HEADERS, "Cache-Control": "no-store"})
        if isinstance(answer, Response):
            answer.headers.update(HEADERS)
            return answer
        headers = dict(HEADERS)
        if isinstance(answer, Sent):
            content, status, kind = answer.content, 200, answer.media_type
            if answer.file_name is not None:
                headers["Content-Disposition"] = f'attachment; filename="{answer.file_name}"'
        else:
            content, status, kind = self.render(answer, asked, section).encode(), answer.status, "text/html"
        response = self._packed(request, content, status, headers, kind, is_kept=not has_form)
        if has_form:
            self.sessions.keep_form(request, response, asked.standing)
        return response

    def _packed(
        self, request: Request, content: bytes, status: int, headers: dict[str, str], kind: str, *, is_kept: bool
    ) -> Response:
        headers["Vary"] = "Accept-Encoding, Cookie"
        headers["Cache-Control"] = "private, no-cache" if is_kept else "no-store"
        if is_kept and status == 200:
            etag = f'W/"{hashlib.sha256(content).hexdigest()[:24]}"'
            headers["ETag"] = etag
            if is_known(request.headers.get("if-none-match", "").encode(), etag.encode()):
                return Response(status_code=304, headers=headers)
        if len(content) >= _WORTH_PACKING and accepts_gzip(request.headers.get("accept-encoding", "").encode()):
            headers["Content-Encoding"] = "gzip"
            content = gzip.compress(content, _LEVEL, mtime=0)
        return Response(content, status, headers, kind)

    def turn_away(self, request: Request) -> Response:
        """Who may not read: a person goes on to sign in; raises `Denied` for a program."""
        if not is_person(request):
            raise Denied(401, REFUSED)
        return self.sessions.ask_to_sign_in(request)

    def refuse(self, request: Request, error: Exception, asked: Asked) -> Response:
        """An error as a page."""
        if isinstance(error, Refusal):
            found = error.problem
        elif isinstance(error, Denied):
            found = problem.Problem(error.status, error.detail)
        else:
            assert isinstance(error, LLMHiveError)
            found = problem.of(error)
            if isinstance(error, StoreError) and not asked.can_write:
                # where the database is is not for everybody
                found = problem.Problem(503, "The database does not answer as it should. The log has more.")
            if found.status_code == 400:
                # an address or a form that we read, and cannot use: as the API says of a field
                found = problem.Problem(422, found.detail)
        return self.tell(request, found.status_code, found.detail, asked)

    def tell(self, request: Request, status: int, detail: str, asked: Asked) -> Response:
        """A page that says what went wrong."""
        told = addresses.linked(detail, asked.view.by_id if asked.standing.can_read else (), words.model_url)
        facts = {"detail": told, "status": status, "back": _section_of(request.url.path)}
        is_away = status == 503 and "database" in detail.lower()
        title = "The database does not answer" if is_away else _WRONG.get(409 if status == 503 else status)
        page = Page("error.html", title or "Something went wrong", facts, status)
        response = self.finish(page, request, asked, None, has_form=True)
        if status == 503:
            response.headers["Retry-After"] = problem.AGAIN
        return response

    def _notes(self, asked: Asked) -> list[tuple[str, str]]:
        """What every page must tell: the kind of note, and its text."""
        view, found = asked.view, []
        if not asked.standing.can_read:
            # who is not let in learns nothing of the catalog
            return []
        if view.source is None:
            found.append(("warn", "The catalog is empty: nothing has been synced yet."))
        elif view.source == "bootstrap":
            found.append((
                "warn",
                "These are the bootstrap facts shipped with LLMHive: nothing has been synced from OpenRouter yet. The "
                "first sync that works replaces them.",
            ))  # fmt: skip
        elif view.as_of is not None and asked.now - view.as_of > words.OLD:
            found.append(
                ("warn", f"The catalog is as it was {words.ago(view.as_of, asked.now)}: no sync worked since.")
            )
        if view.pinned is not None:
            found.append(("info", f"The catalog is pinned to the snapshot {view.pinned}: syncs do not change it."))
        if asked.is_away:
            found.append(("bad", "The database does not answer. The catalog is shown from memory."))
        return found


def _section_of(path: str) -> tuple[str, str] | None:
    """The section that an address is in: its own address, and its name."""
    first = path.strip("/").partition("/")[0].partition(".")[0]
    return SECTIONS.get("catalog" if first in {"", "models"} else first)


def is_person(request: Request) -> bool:
    """Whether somebody asks for a page, and not a program for an answer."""
    return "text/html" in request.headers.get("accept", "")


def require(found: T | None, why: str) -> T:
    """What was found; raises `NotFound` where it is nothing."""
    if found is None:
        raise NotFound(why)
    return found
