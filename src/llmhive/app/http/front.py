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
        max_requests: int,
        log_reads: bool,
        mark: str,
        tracing: Tracing,
    ) -> None:
        """`mark` begins the ids of this process's requests."""
        self._app = app
        self._memory = memory
        self._access = access
        self._counts = counts
        self._tell = tell
        self._max_body = max_body
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
        if "\x00" in path:
            # PostgreSQL takes no such text, and no name of ours has one
            await self._refuse(scope, send, 404, "There is nothing at this address: it holds a NUL.")
            return
        if path.startswith(_MODELS) and method in {"GET", "HEAD"}:
            headers = scope["headers"]
            if self._access.may_read(headers):
                kept = self._memory.newest
                if not kept.is_ready:
                    await self._refuse(scope, send, 503, "The catalog was not read yet: the database does not answer.")
                    return
                try:
                    answer, route = self._look(kept, path, scope["query_string"])
                except BadParameter as error:
                    await self._refuse(scope, send, 422, str(error), route=_MODELS, parameter=error.name)
                    return
                if answer is not None:
                    await self._answer(kept, answer, route, scope, send)
                    return
        await self._hand_on(scope, receive, send)

    def _look(self, kept: Kept, path: str, query_string: bytes) -> tuple[Answer | None, str]:
        if path == _MODELS:
            return kept.models(query_string), _MODELS
        if path == _FAMILIES:
            return kept.families(), _FAMILIES
        if path.startswith(_ONE) and path != _TOP:
            return kept.model(path[len(_ONE) :]), "/api/models/{id}"
        return None, ""

    async def _answer(self, kept: Kept, answer: Answer, route: str, scope: Scope, send: Send) -> None:
        found = {name: value for name, value in scope["headers"] if name in _READ}
        request_id, method = self._id_of(found), scope["method"]
        status, headers, body = respond(
            answer,
            kept.begin(),
            known=found.get(b"if-none-match", b""),
            accepted=found.get(b"accept-encoding", b""),
        )
        # each header costs as much as finding the answer
        headers.append((b"x-request-id", request_id))
        self._counts.count(route, method, status)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
        if self._log_reads:
            self._tell("Answered", method=method, path=_shown(scope), status=status, request=request_id.decode())

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
        for name, pattern in () if _IDS.isdisjoint(headers) else _SAYS_ID.items():
            if name in headers and (match := pattern.fullmatch(headers[name])) is not None:
                return match[match.lastindex or 0]
        return self._mark + b"%x" % next(self._numbers)

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["request_id"] = self._request_id(scope)
        if self._in_progress >= self._max_requests:
            await self._refuse(scope, send, 503, "Too many requests are in progress. Try again in a moment.")
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._max_body:
            await self._refuse(scope, send, 413, self._too_large)
            return
        began = time.perf_counter()
        self._in_progress += 1
        try:
            parent = headers.get(b"traceparent", b"").decode("ascii", "replace")
            with self._tracing.span(scope["method"], parent=parent, is_server=True) as span:
                scope["trace"] = span.parent
                status = await self._pass_through(scope, receive, send)
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

    async def _pass_through(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Let the app answer; returns the status."""
        status, received, is_head = 0, 0, scope["method"] == "HEAD"
        mark = [(b"x-request-id", scope["request_id"].encode()), _SAFE]

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body:
                raise TooLarge(self._too_large)
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

    @property
    def _too_large(self) -> str:
        return f"The request is larger than {self._max_body} bytes (SERVE_MAX_BODY_KB)."


_SAYS_ID = {b"x-request-id": _REQUEST_ID, b"traceparent": _TRACE, b"x-cloud-trace-context": _CLOUD_TRACE}
_IDS = frozenset(_SAYS_ID)
#: What a read from memory looks at.
_READ = frozenset((*_SAYS_ID, b"accept-encoding", b"if-none-match"))


def _shown(scope: Scope) -> str:
    """The path as it came, percent-encoded: nothing in it can pass for something else in a log."""
    return str(scope.get("raw_path", b"").decode("ascii", "backslashreplace"))[:500]


def _route(scope: Scope) -> str:
    """The route's pattern: paths themselves are without number."""
    route = scope.get("route")
    return getattr(route, "path", "").replace(":path", "") or "other"
