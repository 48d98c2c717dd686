"""What usages cost: `POST /api/cost`, a read that needs a body."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import Depends, FastAPI, Request
from starlette.responses import Response

from llmhive.app.http import cost_shapes, parameters, problem, schema
from llmhive.app.http.cost_shapes import MOST, Ask, Body
from llmhive.app.http.problem import Problem
from llmhive.app.http.service import Refusal, Service
from llmhive.app.library import Catalog
from llmhive.catalog.preferences import Preferences
from llmhive.catalog.pricing import EXACT, plain
from llmhive.catalog.receipt import Receipt
from llmhive.errors import NotFound, Unpriced, UsageError

PATH = "/api/cost"
#: Bytes of a body, where `SERVE_MAX_BODY_KB` does not allow more.
LARGEST = 4 * 1024 * 1024
#: Bodies above `SERVE_MAX_BODY_KB` that are in memory at once: as Python values they are many times as large.
_LARGE_AT_ONCE = 4
#: Seconds that a thread prices before others may go on.
_SLICE = 0.05
#: Usages of a body that need a permit as large ones do; one with bounds counts as so many.
_MANY, _WITH_BOUNDS = 1000, 10
#: Bytes of an answer.
_LARGEST_ANSWER = 64 * 1024 * 1024
#: Names in the preferences of a usage, and characters of one: each is compared with every endpoint.
_MOST_NAMES, _LONGEST_NAME = 50, 200
_MOST_PREFERENCES = 100
_LONGEST = 1000  #: characters of a detail
_MOST_FAULTS = 10
_BODY = msgspec.json.Decoder(Body)
_HINT = 'Write {"model": "…", "usage": {…}}, or many of them as {"requests": […]}; /openapi.json has all fields.'


def add_to(app: FastAPI, service: Service) -> None:
    """Register the route."""
    large = asyncio.Semaphore(_LARGE_AT_ONCE)

    @app.post(PATH, tags=["cost"], response_model=None, dependencies=[Depends(service.reader)],
              responses={200: {"model": cost_shapes.Receipt | cost_shapes.Receipts},
                         **schema.problems(401, 404, 408, 413, 422, 503)},
              openapi_extra={"requestBody": cost_shapes.body_schema()})  # fmt: skip
    async def cost(request: Request) -> Response:
        """What a usage costs, exactly and explained, under the price in force when it was; or many usages at once.

        It reads only: no credential is needed but for the read token, where one is set. One usage that has no known
        price is a problem of its own (404, 422); among many, it is an entry with an `error` in its place.
        """
        declared, ordinary = request.headers.get("content-length", ""), service.settings.serve_max_body_kb * 1024
        until = time.monotonic() + service.settings.serve_timeout_seconds
        async with contextlib.AsyncExitStack() as permits:
            is_permitted = not declared.isdigit() or int(declared) > ordinary
            if is_permitted:
                await permits.enter_async_context(_permit(large, until))
            batch = Batch(service.catalog, service.now())
            answer = await service.threads.run(batch.begin, await service.content(request))
            if answer is None and batch.is_large and not is_permitted:
                await permits.enter_async_context(_permit(large, until))
            while answer is None:
                left = until - time.monotonic()
                if left <= 0:
                    raise Refusal(
                        Problem(503, f"It takes too long: {batch.told()} Send fewer at a time, or without bounds.")
                    )
                answer = await service.threads.run(batch.go_on, seconds=left)
        return Response(answer, 200, {"Cache-Control": "no-store"}, "application/json")


@contextlib.asynccontextmanager
async def _permit(large: asyncio.Semaphore, until: float) -> AsyncIterator[None]:
    """Leave to work at something large."""
    try:
        async with asyncio.timeout(max(0.0, until - time.monotonic())):
            await large.acquire()
    except TimeoutError as error:
        raise Refusal(Problem(503, "Too many large requests are in progress. Try again in a moment.")) from error
    try:
        yield
    finally:
        large.release()


class Batch:
    """The usages of one body, priced slice by slice, so that others may go on in between."""

    def __init__(self, catalog: Catalog, now: datetime) -> None:
        self._catalog = catalog
        self._now = now  #: one for all that do not say when they were
        self._asks: Sequence[Ask] = ()
        self._done = 0
        self._encoded: list[bytes] = []
        self._size = 0
        self._preferences: dict[bytes, Preferences] = {}
        self._missing: dict[str | None, NotFound] = {}  #: what comes near a name is not looked for twice
        self._total = Decimal(0)
        self._priced = self._incomplete = 0

    def begin(self, content: bytes) -> bytes | None:
        """Read a body; the answer of a single usage, None for many. Raises `Refusal`, and `StoreError`."""
        body = read(content)
        if body.requests is not None:
            self._asks = shared(body)
            return None
        try:
            return msgspec.json.encode(self._price(body).to_json())
        except UsageError as error:
            why = why_not(error)
            raise Refusal(Problem(why["status"], why["detail"], title=why["title"])) from error

    @property
    def is_large(self) -> bool:
        """Whether it is so much that few should be at it at once."""
        heavy = sum(_WITH_BOUNDS for it in self._asks if it.bounds or it.preferences is not None)
        return len(self._asks) + heavy > _MANY

    def go_on(self) -> bytes | None:
        """Price the next slice; the answer once all is done. Raises `Refusal` and `StoreError`."""
        found: list[Any] = []
        until = time.monotonic() + _SLICE
        for ask in self._asks[self._done :]:
            if found and time.monotonic() >= until:
                break
            try:
                receipt = self._price(ask)
            except UsageError as error:
                if isinstance(error, NotFound):
                    self._missing[ask.model] = error
                found.append({"error": why_not(error), "model": ask.model})
            else:
                self._total = EXACT.add(self._total, receipt.total)
                self._priced += 1
                self._incomplete += bool(receipt.incomplete)
                found.append(receipt.to_json())
        self._done += len(found)
        self._encoded.append(msgspec.json.encode(found)[1:-1])
        self._size += len(self._encoded[-1])
        if self._size > _LARGEST_ANSWER:
            raise Refusal(
                Problem(
                    413, f"The answer is larger than {_LARGEST_ANSWER >> 20} MB: {self.told()} Send fewer at a time."
                )
            )
        if self._done < len(self._asks):
            return None
        sums = {
            "total": plain(self._total), "priced": self._priced, "unpriced": self._done - self._priced,
            "incomplete": self._incomplete,
        }  # fmt: skip
        return b"".join((b'{"data":[', b",".join(self._encoded), b"],", msgspec.json.encode(sums)[1:]))

    def told(self) -> str:
        """How far it came."""
        return f"{self._done:,} of {len(self._asks):,} are priced."

    def _price(self, ask: Ask) -> Receipt:
        if ask.model is None or ask.usage is None:
            raise UsageError(
                f"{'model' if ask.model is None else 'usage'} is missing: there must be a model and its usage."
            )
        if (missing := self._missing.get(ask.model)) is not None:
            raise missing
        known_at = None if ask.known_at is None else _instant("known_at", ask.known_at)
        at = None if ask.at is None else _instant("at", ask.at)
        if at is None and known_at is None:
            at = self._now
        return self._catalog.cost(
            ask.model,
            ask.usage,
            at=at,
            known_at=known_at,
            provider=ask.provider,
            tier=ask.tier,
            is_byok=ask.is_byok,
            has_fee=bool(ask.has_fee),
            bounds=bool(ask.bounds) if ask.preferences is None else self._read_preferences(ask.preferences),
            sealed=bool(ask.sealed),
        )

    def _read_preferences(self, document: dict[str, Any]) -> Preferences:
        """Preferences, which are read once for all usages that have the same."""
        key = msgspec.json.encode(document)
        found = self._preferences.get(key)
        if found is None:
            found = Preferences.of(document)
            names = (*found.order, *found.only, *found.ignore, *found.quantizations)
            if len(names) > _MOST_NAMES or any(len(name) > _LONGEST_NAME for name in names):
                raise UsageError(
                    f"preferences may have {_MOST_NAMES} names in all, of {_LONGEST_NAME} characters at most."
                )
            if len(self._preferences) >= _MOST_PREFERENCES:
                self._preferences.clear()
            self._preferences[key] = found
        return found


def shared(body: Body) -> Sequence[Ask]:
    """The requests of a body, each with what stands beside them where it does not say otherwise."""
    asks = body.requests or []
    *said, _ = msgspec.structs.astuple(body)
    if all(it is None for it in said):
        return asks
    return [
        Ask(*(ours if ours is not None else theirs
              for ours, theirs in zip(msgspec.structs.astuple(ask), said, strict=True)))
        for ask in asks
    ]  # fmt: skip


def why_not(error: UsageError) -> dict[str, Any]:
    """What a usage without a price is told: the parts of a problem."""
    status = 404 if isinstance(error, NotFound) else 422
    title = "Not priced" if isinstance(error, Unpriced) else HTTPStatus(status).phrase
    detail = str(error)
    return {
        "status": status,
        "title": title,
        "detail": detail if len(detail) <= _LONGEST else f"{detail[:_LONGEST]}…",
    }


def _instant(name: str, value: str) -> datetime:
    try:
        return parameters.instant(value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}; not {value[:60]!r}.") from error


# --- reading


def read(content: bytes) -> Body:
    """A body as JSON; raises `Refusal` where it is none, or has other fields than there are."""
    try:
        return _BODY.decode(content)
    except (ValueError, RecursionError) as error:  # ValueError: msgspec's, and what is not UTF-8
        raise _why_unreadable(content, error) from error


def _why_unreadable(content: bytes, error: Exception) -> Refusal:
    try:
        document = msgspec.json.decode(content)
    except RecursionError:
        return _refusal([{"at": "", "why": "it is nested too deeply"}])
    except msgspec.ValidationError as fault:  # a number that is too large to be one
        return _refusal([_fault(str(fault))])
    except ValueError as fault:
        return _refusal([{"at": "", "why": f"it is not JSON ({fault})"}])
    many = document.get("requests") if isinstance(document, dict) else None
    if isinstance(many, list) and len(many) > MOST:
        detail = (
            f"{len(many):,} requests are more than {MOST:,}. Send them in several calls, or let `llmhive cost` price "
            "a file of them."
        )
        return Refusal(Problem(413, detail))
    return _refusal(_unknown(document) or [_fault(str(error))])


def _unknown(document: Any) -> list[dict[str, str]]:
    """The fields that there are not, at most `_MOST_FAULTS` of them."""
    found: list[dict[str, str]] = []
    if not isinstance(document, dict):
        return found
    many = document.get("requests")
    places = [("", document, cost_shapes.OF_ALL)]
    places += [(f"requests[{number}].", it, cost_shapes.OF_ONE) for number, it in enumerate(many)
               if isinstance(it, dict)] if isinstance(many, list) else []  # fmt: skip
    for where, it, known in places:
        for name in it:
            if name not in known:
                near = difflib.get_close_matches(name[:60], known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                found.append({"at": f"{where}{name[:60]}", "why": f"there is no such field; {hint}"})
                if len(found) == _MOST_FAULTS:
                    return found
    return found


def _fault(told: str) -> dict[str, str]:
    """What msgspec tells, as ``Expected `str`, got `int` - at `$.requests[3].model``` does."""
    what, _, where = told.partition(" - at ")
    at = where.strip("`").removeprefix("$").removeprefix(".")
    what = what.replace("`", "").replace(" | null", "").replace("array", "list")
    return {"at": at, "why": what[:1].lower() + what[1:]}


def _refusal(faults: list[dict[str, str]]) -> Refusal:
    return Refusal(Problem(422, f"The body cannot be used: {problem.told(faults)}. {_HINT}", errors=faults))
