"""Rooms asked in this process, of a catalog with everything: the real captures, and what a research sync adds to them.

::

    status, html = desk("/compare", "model=openai/gpt-4o&model=openai/gpt-5.4")
    desk.catalog.cost("openai/gpt-4o", …)      # the library that the room asked, too
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from fastapi import FastAPI
from starlette.datastructures import QueryParams
from starlette.requests import Request

from llmhive.app.http.auth import Denied
from llmhive.app.http.service import Refusal, Service
from llmhive.app.library import Catalog
from llmhive.app.live import Live
from llmhive.app.pages.session import Standing
from llmhive.app.pages.site import Asked, Page, Read, Reads, Site
from llmhive.app.settings import read
from llmhive.errors import LLMHiveError
from llmhive.store.database import connect
from tests import support
from tests.researching import Clock, Lab
from tests.upstream import Upstream, World

DAY = date(2026, 8, 22)
_STANDING = Standing(can_read=True, can_write=False, role=None, form_token="")


class _Pages(Site):
    """Keeps what is registered instead of routing to it."""

    def __init__(self, app: FastAPI, service: Service) -> None:
        super().__init__(app, service)
        self.reads: dict[str, tuple[Read, str | None]] = {}

    def get(
        self, path: str, *, section: str | None, reads: Reads = "database", has_form: bool = False,
        is_open: bool = False,
    ) -> Callable[[Read], Read]:  # fmt: skip
        def register(read: Read) -> Read:
            self.reads[path] = read, section
            return read

        return register


class Desk:
    """Answers for some rooms."""

    def __init__(self, path: Path, now: datetime, *rooms: Any) -> None:
        url = f"sqlite:///{path}"
        self.catalog = Catalog.open(url)
        self.now = now
        database = connect(url)
        live = Live(database, tell=lambda *_, **__: None)
        live._try()
        database.close()
        assert live.view is not None
        self.view = live.view
        service = SimpleNamespace(
            settings=read({}), access=None, now=lambda: now, live=SimpleNamespace(is_reachable=True)
        )
        self._site = _Pages(FastAPI(), cast("Service", service))
        for room in rooms:
            room.add_to(self._site)

    def facts(self, path: str, query: str | Sequence[tuple[str, str]] = "") -> Page:
        """What a room shows, before it is HTML; raises what it raises."""
        read, _ = self._site.reads[path]
        page = read(self._asked(query))
        assert isinstance(page, Page)
        return page

    def __call__(self, path: str, query: str | Sequence[tuple[str, str]] = "") -> tuple[int, str]:
        """Status and HTML, as the site answers."""
        asked, (read, section) = self._asked(query), self._site.reads[path]
        request = Request({"type": "http", "method": "GET", "path": path, "scheme": "http", "headers": []})
        try:
            answer = self._site.finish(read(asked), request, asked, section)  # type: ignore[arg-type]
        except (LLMHiveError, Refusal, Denied) as error:
            answer = self._site.refuse(request, error, asked)
        return answer.status_code, bytes(answer.body).decode()

    def _asked(self, query: str | Sequence[tuple[str, str]]) -> Asked:
        params = QueryParams(query if isinstance(query, str) else list(query))
        return Asked(self.catalog, self.view, params, {}, self.now, "http://127.0.0.1", _STANDING)


def of_real(folder: Path, *rooms: Any) -> Desk:
    """Of the real world; made by the first of a session who asks."""
    now = Clock.on(DAY, 13).now()
    with support.locked("desk") as session:
        made = session / "desk.sqlite"
        if not made.exists():
            shutil.copy(support.sqlite_template(), session / "filling-desk.sqlite")
            _fill(session / "filling-desk.sqlite")
            (session / "filling-desk.sqlite").rename(made)
    shutil.copy(made, folder / "desk.sqlite")
    return Desk(folder / "desk.sqlite", now, *rooms)


def of_nothing(folder: Path, *rooms: Any) -> Desk:
    """Of an empty catalog."""
    shutil.copy(support.sqlite_template(), folder / "empty.sqlite")
    return Desk(folder / "empty.sqlite", Clock.on(DAY, 13).now(), *rooms)


def _fill(path: Path) -> None:
    clock, database = Clock.on(DAY), connect(f"sqlite:///{path}")
    try:
        with Upstream(World.real(), clock=clock.monotonic) as upstream:
            assert Lab(database, upstream, clock).run().status == "completed"
    finally:
        database.close()
