"""The front: a small ASGI app before FastAPI. It answers reads from memory itself, and bounds, marks, counts and logs
all others.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from llmhive.app.http import problem
from llmhive.app.http.auth import Access
from llmhive.app.http.counts import Counts
from llmhive.app.http.memory import Answer, Kept, Memory, respond
from llmhive.app.http.parameters import BadParameter
from llmhive.app.observe import Tell
from llmhive.app.tracing import Tracing

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_TRACE = re.compile(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_CLOUD_TRACE = re.compile(rb"([0-9a-f]{32})(?:/.*)?")
_MODELS, _ONE, _FAMILIES = "/api/models", "/api/models/", "/api/models/families"
_ID_ROUTE, _BEFORE_ID = "/api/models/{id}", len(_ONE)
_READS = frozenset(("GET", "HEAD"))
#: Not the model of this name.
_TOP = "/api/models/top"
_SAFE = (b"x-content-type-options", b"nosniff")
#: Asked every few seconds by machines: no line of log unless something is wrong.
_QUIET = frozenset(("/healthz", "/readyz", "/metrics"))
#: What a caller is told of a mistake of ours.
MISTAKE = "Something went wrong here. The log has more, by the request's id."


class TooLarge(Exception):
    """A request's body is larger than allowed."""


class Front:
    """Answers what memory knows; hands the rest to `app`."""

    def __init__(
        self,
        app: App,
        memory: Memory,
        access: Access,
        counts: Counts,
        *,
        tell: Tell,
        max_body: int,
        large: Mapping[str, int],
        max_requests: int,
        log_reads: bool,
        mark: str,
        tracing: Tracing,
    ) -> None:
        """`large`: the paths whose bodies may have more bytes than `max_body`; `mark` begins the ids of this process's
        requests.
        """
        self._app = app
        self._memory = memory
        self._access = access
        self._counts = counts
        self._tell = tell
        self._max_body = max_body
        self._large = large
        self._max_requests = max_requests
        self._log_reads = log_reads
        self._mark = mark.encode()
        self._tracing = tracing
        self._numbers = itertools.count(1)
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, method = scope["path"], scope["method"]
        if (
            path.startswith(_MODELS)
            and method in _READS
            and (self._access.is_open or self._access.may_read(scope["headers"]))
        ):
            kept = self._memory.newest
            answer, route = kept.known_models.get(path[_BEFORE_ID:]) if path.startswith(_ONE) else None, _ID_ROUTE
            if answer is None:
                try:
                    answer, route = self._look(kept, path, scope["query_string"])
                except BadParameter as error:
                    await self._refuse(scope, send, 422, str(error), route=_MODELS, parameter=error.name)
                    return
            if answer is not None:
                # every read comes through here: nothing is called that need not be
                asked = dict(scope["headers"])
                status, headers, pieces = respond(
                    answer, kept.begin(), known=asked.get(b"if-none-match"), accepted=asked.get(b"accept-encoding")
                )
                request_id = self._id_of(asked)
                self._counts.add((route, method, status))
                headers = [*headers, (b"x-request-id", request_id)]
                await send({"type": "http.response.start", "status": status, "headers": headers})
                if method == "HEAD":
                    pieces = (b"",)
                elif len(pieces) > 1:
                    await send({"type": "http.response.body", "body": pieces[0], "more_body": True})
                await send({"type": "http.response.body", "body": pieces[-1]})
                if self._log_reads:
                    self._tell("Answered", method=method, path=_shown(scope), status=status,
                               request=request_id.decode())  # fmt: skip
                return
            if not kept.is_ready:
                await self._refuse(scope, send, 503, "The catalog was not read yet: the database does not answer.")
                return
        await self._hand_on(scope, receive, send)

    def _look(self, kept: Kept, path: str, query_string: bytes) -> tuple[Answer | None, str]:
        """What memory knows of a path below `_MODELS`, and the route's pattern."""
        if not kept.is_ready:
            return None, ""
        if path == _MODELS:
            return kept.models(query_string), _MODELS
        if path == _FAMILIES:
            return kept.families(), _FAMILIES
        if path.startswith(_ONE) and path != _TOP:
            return kept.model(path[_BEFORE_ID:]), _ID_ROUTE
        return None, ""

    async def _refuse(
        self, scope: Scope, send: Send, status: int, detail: str, *, route: str = "other", **more: Any
    ) -> None:
        """Answer with a problem before anybody else has seen the request."""
        scope.setdefault("request_id", self._request_id(scope))
        self._counts.count(route, scope["method"], status)
        self._tell("Answered", method=scope["method"], path=_shown(scope), status=status, request=scope["request_id"])
        await self._problem(scope, send, status, detail, **more)

    async def _problem(self, scope: Scope, send: Send, status: int, detail: str, **more: Any) -> None:
        request_id = scope["request_id"]
        body = problem.encode(status, detail, request_id=request_id, **more)
        headers = [
            (b"content-type", problem.MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode()),
            _SAFE,
        ]
        if status == 503:
            headers.append((b"retry-after", problem.AGAIN.encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _request_id(self, scope: Scope) -> str:
        return self._id_of({name: value for name, value in scope["headers"] if name in _SAYS_ID}).decode()

    def _id_of(self, headers: Mapping[bytes, bytes]) -> bytes:
        """The id of a request: the caller's, its trace's, or a new one."""
        # most requests say none
        if not _IDS.isdisjoint(headers):
            for name, pattern in _SAYS_ID.items():
                if name in headers and (match := pattern.fullmatch(headers[name])) is not None:
                    return match[match.lastindex or 0]
        return self._mark + b"%x" % next(self._numbers)

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "\x00" in scope["path"]:
            # PostgreSQL takes no such text, and no name of ours has one
            await self._refuse(scope, send, 404, "There is nothing at this address: it holds a NUL.")
            return
        scope["request_id"] = self._request_id(scope)
        if self._in_progress >= self._max_requests:
            await self._refuse(scope, send, 503, "Too many requests are in progress. Try again in a moment.")
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        most = max(self._max_body, self._large.get(scope["path"], 0))
        if declared.isdigit() and int(declared) > most:
            await self._refuse(scope, send, 413, _too_large(most))
            return
        began = time.perf_counter()
        self._in_progress += 1
        try:
            parent = headers.get(b"traceparent", b"").decode("ascii", "replace")
            with self._tracing.span(scope["method"], parent=parent, is_server=True) as span:
                scope["trace"] = span.parent
                status = await self._pass_through(scope, receive, send, most)
                span.set({
                    "http.request.method": scope["method"], "http.route": _route(scope),
                    "http.response.status_code": status, "llmhive.request_id": scope["request_id"],
                })  # fmt: skip
                if status >= 500:
                    span.fail(f"HTTP {status}")
        finally:
            self._in_progress -= 1
        seconds = time.perf_counter() - began
        route = _route(scope)
        self._counts.count(route, scope["method"], status)
        self._counts.time(route, seconds)
        if status >= 400 or scope["path"] not in _QUIET:
            self._tell("Answered", method=scope["method"], path=_shown(scope), status=status,
                       seconds=round(seconds, 4), request=scope["request_id"])  # fmt: skip

    async def _pass_through(self, scope: Scope, receive: Receive, send: Send, most: int) -> int:
        """Let the app answer, that reads `most` bytes; returns the status."""
        status, received, is_head = 0, 0, scope["method"] == "HEAD"
        mark = [(b"x-request-id", scope["request_id"].encode()), _SAFE]

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise TooLarge(_too_large(most))
            return message

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *mark]
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        asked = {**scope, "method": "GET"} if is_head else scope
        try:
            await self._app(asked, limited, marked)
        except asyncio.CancelledError:
            if not status:
                await self._problem(scope, send, 503, "The service is stopping. Ask again in a moment.")
            self._counts.count(_route(scope), scope["method"], status or 503)
            self._tell("Answered", method=scope["method"], path=_shown(scope), status=status or 503,
                       request=scope["request_id"])  # fmt: skip
            raise
        except Exception as error:
            # the message of a mistake may hold anything: it is for the log, which removes the secrets it knows
            self._tell("Answer failed", method=scope["method"], path=_shown(scope), request=scope["request_id"],
                       error=f"{type(error).__name__}: {error}", traceback=traceback.format_exc())  # fmt: skip
            # the app has answered with a problem already, unless it had begun another answer
            if status and status != 500:
                raise
            if not status:
                await self._problem(scope, send, 500, MISTAKE)
            return 500
        if is_head and "route" in asked:
            scope["route"] = asked["route"]
        return status


_SAYS_ID = {b"x-request-id": _REQUEST_ID, b"traceparent": _TRACE, b"x-cloud-trace-context": _CLOUD_TRACE}
_IDS = frozenset(_SAYS_ID)


def _too_large(most: int) -> str:
    return f"The request is larger than {most} bytes (SERVE_MAX_BODY_KB; `POST /api/cost` may have more)."


def _shown(scope: Scope) -> str:
    """The path as it came, percent-encoded: nothing in it can pass for something else in a log."""
    return str(scope.get("raw_path", b"").decode("ascii", "backslashreplace"))[:500]


def _route(scope: Scope) -> str:
    """The route's pattern: paths themselves are without number."""
    route = scope.get("route")
    return getattr(route, "path", "").replace(":path", "") or "other"
